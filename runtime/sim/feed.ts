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
/** How much faster what comes early does. */
const EARLY = 5

export interface Fed {
  readonly input: Input
  readonly scenario: Pick<Scenario, 'shards' | 'mayMix' | 'early'>
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
  const { early = [] } = scenario
  const isLate = (i: number, lines: readonly string[]) => early.length > 0 && i === lines.length - 1
  for (const [source, parts] of Object.entries(input)) {
    const stream = sourceStream(source)
    const lineage = services.sources.get(stream)!
    // Of input with late data there is one shard.
    const reshards =
      scenario.shards > 1
        ? openReshards(simulation, { lineage, parts: parts.length, mayMix: scenario.mayMix ?? false, early })
        : undefined
    const putAt = (at: number, part: number, i: number) => {
      end = Math.max(end, at)
      const lines = parts[part]!
      scheduler.after(at, () => {
        reshardStages()
        const shard = reshards?.shardOf(part, lines.length - 1 - i) ?? part
        services.kinesis.append(stream, shard, Buffer.from(lines[i]!), scheduler.now)
      })
    }
    for (const [part, lines] of parts.entries()) {
      let at = 0
      for (const i of lines.keys()) {
        if (isLate(i, lines)) continue
        at += (random.fraction() * pace) / (early.includes(part) ? EARLY : 1)
        if (pause !== undefined && i === Math.floor(pause.at * lines.length)) at += pause.ms
        putAt(at, part, i)
      }
    }
    const all = end
    for (const [part, lines] of parts.entries())
      if (isLate(lines.length - 1, lines)) putAt(all + random.fraction() * pace, part, lines.length - 1)
  }
  return end
}
