import { groupAt } from '../aws/functions/stage-layout.ts'
import { readHeader } from '../protocol/frame.ts'
import { refuseRescale } from '../stage/refuse-rescale.ts'
import type { Topology } from '../stage/topology.ts'
import { halves, type Lineage, type StreamShard } from './lineage.ts'
import type { Services } from './ports.ts'
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
    if (faults.happens('shard loses its end, and is merged')) loseEnd(stage, random.pick([low, high]))
    replace(stage, lineage, [low, high], [{ first: low.keys.first, last: high.keys.last }])
  }

  /** What nobody has come to is older than the stream keeps records. */
  function loseEnd(stage: string, { index }: StreamShard): void {
    const through = world.mappings.find(({ stream, shard }) => stream === stage && shard === index)!.through
    const behind = services.kinesis.records(stage, index).slice(through)
    if (behind.length === 0 || behind.some(({ data }) => isOpen(data, world.topology!, services))) return
    const kept = through + random.below(behind.length)
    trace?.(`${stage} ${index} loses all behind record ${kept}`)
    services.kinesis.loseEnd(stage, index, kept)
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
    else if (!hasOpenLoss(world.topology, services)) merge(stage, lineage, open)
  }
}

/**
 * A frame is lost whose commit is still to come. Whoever takes over looks at what commits say that they have sent; in life none of them comes as late as that, when the stream no longer keeps its frames.
 */
function hasOpenLoss(topology: Topology, services: Services): boolean {
  return services.kinesis.lost.some(frame => isOpen(frame, topology, services))
}

/** Nobody has decided yet whether a frame counts. */
function isOpen(frame: Uint8Array, topology: Topology, { log }: Services): boolean {
  const { run, producer, version } = readHeader(frame)
  return run === topology.run && (log.logs.get(topology.logOfProducer(producer))?.last ?? 0) < version
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
