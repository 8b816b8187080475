import { readFileSync } from 'node:fs'
import { type Environment, openEnvironment } from '../../runtime/aws/functions/environment.ts'
import type { InvocationContext } from '../../runtime/aws/functions/event.ts'
import type { Settings } from '../../runtime/aws/functions/settings.ts'
import { customSink } from '../../runtime/connectors/custom.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Ports } from '../../runtime/ports.ts'
import { NEVER_SPLIT } from '../../test/functions/never-split.ts'
import machine from './machine.json' with { type: 'json' }
import { meteredPorts, type Sizes, type Waited } from './metered-ports.ts'
import { noUsage, type Usage } from './usage.ts'

const TIMEOUT_MS = 60_000

/** A function of the pipeline, with one environment, and what it has been asked for. */
export interface Part {
  readonly environment: Environment
  readonly usage: Usage
  /** One invocation, with its event as the JSON that Lambda hands over. */
  invoke<E, R>(event: unknown, handler: (event: E, context: InvocationContext) => Promise<R>): Promise<R>
}

export interface World {
  readonly app: Pipeline
  readonly ports: Ports
  readonly sizes: Sizes
  readonly settings: Omit<Settings, 'stage'>
  readonly sourceShards: number
  /** User code asks services of its own: how long it waits for them is measured, too. */
  readonly asksOthers: boolean
}

export const shardId = (shard: number) => `shardId-${String(shard).padStart(12, '0')}`

export function openPart(world: World, stage: string | undefined): Part {
  const usage = noUsage()
  const waited: Waited = { ms: 0 }
  const ports = meteredPorts(world.ports, usage, waited, world.sizes)
  const names = world.app.graph().nodes.flatMap(n => n.sink?.name ?? [])
  const environment = openEnvironment(world.app, { ...world.settings, stage }, () => ({
    ports,
    stageStreams: NEVER_SPLIT,
    sourceStreams: {
      listShards: async () =>
        Array.from({ length: world.sourceShards }, (_, i) => ({ id: shardId(i), parents: [], closed: false })),
      isReadToEnd: async () => false,
      read: () => Promise.reject(new Error('no run begins with a checkpoint here')),
    },
    objects: { read: () => Promise.reject(new Error('there are no objects here')) },
    sinks: Object.fromEntries(names.map(name => [name, discarding()])),
  }))
  return {
    environment,
    usage,
    async invoke(event, handler) {
      const text = JSON.stringify(event)
      const held = world.asksOthers ? heldUpMs() : 0
      const before = process.cpuUsage()
      const [began, calls, wait] = [performance.now(), usage.calls, waited.ms]
      const result = await handler(JSON.parse(text), { getRemainingTimeInMillis: () => TIMEOUT_MS })
      const answer = JSON.stringify(result)
      const { user, system } = process.cpuUsage(before)
      const cpuMs = (user + system) / 1000 + (usage.calls - calls) * machine.sdkCallMs
      // In this process no service but the user's own takes time: what is more than CPU, and waiting for one, has been waited for it.
      const elapsedMs = performance.now() - began
      const othersMs = world.asksOthers ? Math.max(0, elapsedMs - (heldUpMs() - held) - (user + system) / 1000) : 0
      const waitMs = waited.ms - wait + othersMs
      usage.invocations++
      usage.cpuMs += cpuMs
      usage.waitMs += waitMs
      usage.billedMs += Math.ceil(cpuMs + waitMs)
      return answer === undefined ? result : JSON.parse(answer)
    },
  }
}

/** How long this thread could have run, and others had the CPU, since it began; a machine that has other work would make a pipeline dear. Linux tells it, elsewhere 0. */
function heldUpMs(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}

/** Sinks write to services of the user's, whose bill it is: here their results are made into JSON. */
function discarding() {
  return customSink<unknown>({
    name: 'discard',
    open() {
      let chars = 0
      return {
        write(value) {
          chars += JSON.stringify(value).length
        },
        flush: async () => ({ chars }),
      }
    },
  })
}
