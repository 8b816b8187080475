/**
 * One environment of a stage's function, in a process of its own that can be killed: what Lambda would start. Started by `processes.ts`, which invokes it and
 * answers the calls of its ports.
 */
import { openSync, writeSync } from 'node:fs'
import { openEnvironment } from '../../runtime/aws/functions/environment.ts'
import { stageHandler } from '../../runtime/aws/functions/stage.ts'
import { peer } from '../../runtime/embedded/threads/peer.ts'
import { remotePorts } from '../../runtime/embedded/threads/ports.ts'
import type { StreamRecord } from '../../runtime/ports.ts'
import { context, eventOf, shardId } from '../../test/functions/world.ts'
import { runningCounts } from './pipeline.ts'
import { now } from './settings.ts'
import { backingOn, settingsOf } from './stand-in.ts'

export interface EnvironmentSetting {
  readonly parallelism: number
  readonly stage: string
  readonly shard: number
  /** A line is appended for each record that user code sees: it outlives the process. */
  readonly seenFile: string
}

const { parallelism, stage, shard, seenFile } = JSON.parse(process.argv[2]!) as EnvironmentSetting
const seen = openSync(seenFile, 'a')

const app = runningCounts(id => void writeSync(seen, `${id} ${now()}\n`))
const line = {
  postMessage: (message: unknown) => void process.send!(message),
  on: (event: 'message', listener: (message: any) => void) => process.on(event, listener),
}
const main = peer(
  line,
  {
    invoke: (records: readonly StreamRecord[]) => handle(eventOf(records, shardId(shard)), context()),
  },
  error => {
    throw error
  },
)
const handle = stageHandler(openEnvironment(app, settingsOf(parallelism, stage), () => backingOn(remotePorts(() => main))))
process.on('disconnect', () => process.exit())
