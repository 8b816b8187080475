import { groupAt } from '../aws/functions/stage-layout.ts'
import { refuseRescale } from '../stage/refuse-rescale.ts'
import type { Topology } from '../stage/topology.ts'
import { halves, type Lineage, type StreamShard } from './lineage.ts'
import type { Simulation } from './simulation.ts'
import type { World } from './world.ts'

/** Each costs a run some time. */
const CHANGES_MAX = 4
const OPEN_MAX = 4
const PAUSE_MAX = 12
const LOOK_MS = 500
const LOOKS_MAX = 120
/** So long barriers are on their way, mostly. */
const BARRIERS_MS = 2_000
/** Of the hash keys, on either side of a split. */
const LEAST = 0.2

/** Somebody who splits and merges the shards of streams between stages, by lot, when he is asked. */
export function openStageReshards({ faults, dice, scheduler, trace }: Simulation, world: World): () => void {
  const { services } = world
  const random = dice.fork('stage reshards')
  let changes = 0
  /** How often he is asked in vain before the next one. */
  let pause = random.below(PAUSE_MAX)

  function replace(stage: string, lineage: Lineage, parents: readonly StreamShard[], keys: readonly StreamShard['keys'][]): void {
    const children = lineage.replace(parents, keys, scheduler.now)
    changes++
    trace?.(
      `${stage}: shards ${children.map(s => s.index).join(' and ')} take over from ${parents.map(p => p.index).join(' and ')}`,
    )
  }

  function split(stage: string, lineage: Lineage, open: readonly StreamShard[]): void {
    const shard = random.pick(open)
    const both = halves(shard.keys, random.spread(LEAST, 1 - LEAST))
    const groups = world.plan.options.keyGroups
    // Such a split is refused by name.
    if (both.every(({ first, last }) => groupAt(first, groups) < groupAt(last + 1n, groups)))
      replace(stage, lineage, [shard], both)
  }

  /** Only neighbours can be merged. */
  function merge(stage: string, lineage: Lineage, open: readonly StreamShard[]): void {
    const i = random.below(open.length - 1)
    const [low, high] = [open[i]!, open[i + 1]!]
    replace(stage, lineage, [low, high], [{ first: low.keys.first, last: high.keys.last }])
  }

  return () => {
    if (changes >= CHANGES_MAX || pause-- > 0 || !faults.happens('stage is resharded')) return
    pause = random.below(PAUSE_MAX)
    if (random.chance(0.5)) reshard()
    else void amidst()
  }

  /** While a checkpoint is under way, if one begins soon. */
  async function amidst(): Promise<void> {
    for (let looks = 0; world.controller.running === 0 && looks < LOOKS_MAX; looks++) await scheduler.sleep(LOOK_MS)
    await scheduler.sleep(random.spread(1, BARRIERS_MS))
    reshard()
  }

  function reshard(): void {
    if (world.topology === undefined) return
    const able = world.plan.stages.filter(({ id, index }) => services.between.has(id) && canReshard(world.topology!, index))
    if (able.length === 0) return
    // What a stage that others read does when it ends is told to them.
    const { id: stage } = random.pick([...able, ...able.filter(({ outputs }) => outputs.length > 0)])
    const lineage = services.between.get(stage)!
    const open = lineage.shards
      .filter(s => s.until === Number.POSITIVE_INFINITY)
      .sort((a, b) => (a.keys.first < b.keys.first ? -1 : 1))
    if (open.length === 1 || (open.length < OPEN_MAX && random.chance(0.6))) split(stage, lineage, open)
    // The last frames of one shard that are lost don't show behind a merge, where the other one has later ones (docs/rescaling.md).
    else if (!faults.injected.some(({ fault }) => fault === 'stream loses a frame')) merge(stage, lineage, open)
  }
}

/** Others are refused by name, and nothing goes on. */
function canReshard(topology: Topology, stage: number): boolean {
  try {
    refuseRescale(topology, stage)
    return true
  } catch {
    return false
  }
}
