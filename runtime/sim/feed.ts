import { openReshards } from './reshards.ts'
import type { Input, Scenario } from './scenario.ts'
import type { Simulation } from './simulation.ts'
import { openStageReshards } from './stage-reshards.ts'
import { type Deployment, sourceStream, type World } from './world.ts'

/** From one record of a shard to the next, at most, in ms; where checkpoints are dense, in their intervals: then most of them have something new to take. */
const PACE_MS = [200, 30_000] as const
const DENSE_PACE = [1.5, 8] as const
/** That nothing comes for a while. */
const PAUSE_CHANCE = 0.15

export interface Fed {
  readonly input: Input
  readonly scenario: Pick<Scenario, 'shards' | 'mayMix'>
  readonly deployment: Pick<Deployment, 'checkpointEveryMs' | 'dense'>
}

/** Puts the input into the sources' streams, in its time. Gives when the last of it comes, ms from now. */
export function feed(world: World, simulation: Simulation, { input, scenario, deployment }: Fed): number {
  const { services } = world
  const { scheduler, dice } = simulation
  const random = dice.fork('feed')
  const { checkpointEveryMs, dense = false } = deployment
  const pace = dense ? checkpointEveryMs * random.spread(...DENSE_PACE) : random.spread(...PACE_MS)
  // Long enough for those who were frozen to thaw, and for what was deleted to be swept.
  const pause =
    !dense && random.chance(PAUSE_CHANCE) ? { at: random.fraction(), ms: random.spread(60_000, 2 * 3_600_000) } : undefined
  const reshardStages = openStageReshards(simulation, world)
  let end = 0
  for (const [source, parts] of Object.entries(input)) {
    const stream = sourceStream(source)
    const lineage = services.sources.get(stream)!
    // Of input with late data there is one shard.
    const reshards =
      scenario.shards > 1
        ? openReshards(simulation, { lineage, parts: parts.length, mayMix: scenario.mayMix ?? false })
        : undefined
    for (const [part, lines] of parts.entries()) {
      let at = 0
      for (const [i, line] of lines.entries()) {
        at += random.fraction() * pace
        if (pause !== undefined && i === Math.floor(pause.at * lines.length)) at += pause.ms
        scheduler.after(at, () => {
          reshardStages()
          const shard = reshards?.shardOf(part, i === lines.length - 1) ?? part
          services.kinesis.append(stream, shard, Buffer.from(line), scheduler.now)
        })
      }
      end = Math.max(end, at)
    }
  }
  return end
}
