import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { BatchResponse } from '../../runtime/aws/functions/event.ts'
import { type Handlers, type Peer, peer } from '../../runtime/embedded/threads/peer.ts'
import type { StreamRecord } from '../../runtime/ports.ts'
import type { EnvironmentSetting } from './environment.ts'

/** What invokes a function: its environment is started when there is none, and anew when it has died. */
export interface Invoker {
  /** Rejects when the environment dies. */
  invoke(records: readonly StreamRecord[]): Promise<BatchResponse>
  /** Kills the environment, at once. */
  kill(): void
  close(): void
}

export function openInvoker(setting: EnvironmentSetting, handlers: Handlers): Invoker {
  let running: { child: ChildProcess; line: Peer } | undefined

  function start() {
    const child = fork(join(import.meta.dirname, 'environment.ts'), [JSON.stringify(setting)], { serialization: 'advanced' })
    const line = peer(
      { postMessage: message => void (child.connected && child.send(message as object)), on: (e, f) => child.on(e, f) },
      handlers,
      error => {
        throw error
      },
    )
    child.on('exit', (code, signal) => {
      if (running?.child === child) running = undefined
      line.end(new Error(`the environment ended with ${signal ?? code}`))
    })
    return { child, line }
  }

  return {
    invoke(records) {
      running ??= start()
      return running.line.call('invoke', records)
    },
    kill() {
      running?.child.kill('SIGKILL')
    },
    close() {
      running?.child.disconnect()
    },
  }
}
