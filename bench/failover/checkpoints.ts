import { checkpointHandler, type StartedCheckpoint } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { openEnvironment } from '../../runtime/aws/functions/environment.ts'
import { materialiseHandler, type PartRef } from '../../runtime/aws/functions/materialise.ts'
import type { MaterialisedRef } from '../../runtime/aws/functions/materialised.ts'
import type { Ports } from '../../runtime/ports.ts'
import { context } from '../../test/functions/world.ts'
import { runningCounts } from './pipeline.ts'
import { backingOn, settingsOf } from './stand-in.ts'

const LOOK_MS = 50
const LOOKS_MAX = 600

/** The controller, as the state machine runs it, in this process. One call is one checkpoint. @throws Error when it does not complete */
export function openCheckpoints(ports: Ports, parallelism: number): () => Promise<void> {
  const open = (stage?: string) => openEnvironment(runningCounts(), settingsOf(parallelism, stage), () => backingOn(ports))
  const step = checkpointHandler(open())
  const fold = materialiseHandler(open())
  const cuts = new Map<string, ReturnType<typeof cutHandler>>()

  async function collect(start: StartedCheckpoint): Promise<readonly PartRef[]> {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const { parts } = (await step({ step: 'collect', start }, context())) as { parts?: readonly PartRef[] }
      if (parts !== undefined) return parts
      await ports.clock.sleep(LOOK_MS)
    }
    throw new Error(`checkpoint ${start.checkpoint} has no acks from all after ${LOOKS_MAX * LOOK_MS} ms`)
  }

  return async () => {
    const start = (await step({ step: 'start' }, context())) as StartedCheckpoint | { nothing: true }
    if ('nothing' in start) return
    for (const { stage, shards } of start.sources) {
      const cut = cuts.get(stage) ?? cutHandler(open(stage))
      cuts.set(stage, cut)
      await cut({ shards, checkpoint: start.checkpoint }, context())
    }
    const materialised: MaterialisedRef[] = []
    for (const part of await collect(start)) materialised.push(await fold({ start, part }, context()))
    const { outcome } = (await step({ step: 'complete', start, materialised }, context())) as { outcome: string }
    if (outcome !== 'complete') throw new Error(`checkpoint ${start.checkpoint} is ${outcome}`)
  }
}
