import { join } from 'node:path'
import { openEnvironment } from '../../runtime/aws/functions/environment.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { servePorts } from '../../runtime/embedded/threads/ports.ts'
import type { Ports } from '../../runtime/ports.ts'
import { type Death, deadlyLog, noticedLog } from './death.ts'
import { runMapping } from './mapping.ts'
import { runningCounts } from './pipeline.ts'
import { openInvoker } from './processes.ts'
import { now, VICTIM } from './settings.ts'
import { backingOn, OWN_STREAM, settingsOf } from './stand-in.ts'

/** The pipeline's functions, and what invokes them. */
export interface RunningFunctions {
  readonly ports: Ports
  readonly death: Death
  /** By subtask of the counts. */
  readonly commits: readonly (readonly number[])[]
  /** Where lines about what a subtask has seen are. */
  readonly seenFile: (shard: number) => string
  /** Rejects when a function fails or dies without having been killed. */
  readonly failed: Promise<never>
  close(): Promise<void>
}

/** With each environment a process, which has started already, on ports in this one. `dir` is for all its files. */
export async function openFunctions(subtasks: number, dir: string): Promise<RunningFunctions> {
  const ports = await openEmbedded({ directory: join(dir, 'state') })
  const { topology } = await openEnvironment(runningCounts(), settingsOf(subtasks), () => backingOn(ports)).run()
  const [source, counts] = [topology.stages[0]!, topology.stages[1]!]
  const shards = Array.from({ length: subtasks }, (_, i) => i)
  const logs = shards.map(shard => topology.log(counts.stage.index, shard))
  const commits: number[][] = shards.map(() => [])
  const death: Death = { due: false, at: undefined }
  const noticed = noticedLog(ports.log, log => commits[logs.indexOf(log)]?.push(now()))
  const log = deadlyLog(noticed, logs[VICTIM]!, death, () => invokers[VICTIM]!.kill())
  const handlers = servePorts({ ...ports, log })
  const seenFile = (shard: number) => join(dir, `seen-${shard}`)
  const setting = { parallelism: subtasks, stage: counts.stage.id }
  const invokers = shards.map(shard => openInvoker({ ...setting, shard, seenFile: seenFile(shard) }, handlers))
  const first = openInvoker({ ...setting, stage: source.stage.id, shard: 0, seenFile: join(dir, 'unseen') }, handlers)
  await Promise.all([first, ...invokers].map(invoker => invoker.invoke([])))

  let ended = false
  const stream = topology.stream(counts.stage.index)
  const options = (shard: number) => ({ ended: () => ended, mayDie: () => shard === VICTIM && death.at !== undefined })
  const mappings = [
    runMapping(ports.streams, OWN_STREAM, 0, first, { ended: () => ended, mayDie: () => false }),
    ...invokers.map((invoker, shard) => runMapping(ports.streams, stream, shard, invoker, options(shard))),
  ]
  return {
    ports,
    death,
    commits,
    seenFile,
    failed: Promise.all(mappings).then(() => new Promise<never>(() => {})),
    async close() {
      ended = true
      await Promise.allSettled(mappings)
      for (const invoker of [first, ...invokers]) invoker.close()
      await ports.close()
    },
  }
}
