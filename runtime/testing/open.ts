import type { Pipeline } from '../api/pipeline.ts'
import { openRun } from '../checkpoint/open-run.ts'
import { openEmbedded } from '../embedded/ports.ts'
import { planPhysical } from '../graph/planner.ts'
import { shapeOf } from '../graph/shape.ts'
import { dice } from '../sim/random.ts'
import { Topology } from '../stage/topology.ts'
import { checkFaults, graphOf, kindOf, onlyOptions, wholeNumber } from './check.ts'
import { openHandClock } from './clock.ts'
import { openCollector } from './collector.ts'
import { type EnvironmentOptions, openEnvironment } from './environment.ts'
import { TestKitError } from './error.ts'
import type { TestFault } from './faults.ts'
import { openSplit, type TestSplit } from './input.ts'
import { namesOf, sinkName } from './names.ts'
import { testPipeline } from './run.ts'
import { openFromSnapshot, type Snapshot } from './snapshot.ts'
import { tapped } from './taps.ts'
import type { Task } from './tasks.ts'
import type { TestOptions } from './test-options.ts'
import type { TestPipeline } from './test-pipeline.ts'

const START = Date.UTC(2025, 0, 1)
const BATCH = 100
const OPTIONS: Readonly<Record<keyof TestOptions, true>> = {
  parallelism: true,
  now: true,
  splits: true,
  batchSize: true,
  watermarks: true,
  from: true,
  faults: true,
  sinks: true,
  seed: true,
}

/**
 * Opens a pipeline for a test: its stages run in this process, in memory, on what the test sends and by a clock that the test moves. It is the code that
 * runs everywhere, with its commits, checkpoints and restarts; only services are replaced. So are sinks, by what `results` reads. Functions of
 * yours that call services (in mapAsync, say) are called as they are: give the pipeline others for the test.
 *
 * @throws TestKitError for options that make no sense; StateMismatchError for a snapshot of something else
 *
 * @example
 * await using t = await openTestPipeline(app)
 * await t.send('events', [{ user_id: 'u1', timestamp: 1_000 }])
 * await t.end()
 * const counts = await t.results('counts')
 */
export async function openTestPipeline(app: Pipeline, options: TestOptions = {}): Promise<TestPipeline> {
  const { splits = 1, now = START, batchSize = BATCH, watermarks = 'by strategy', from, sinks = {}, seed = 0 } = options
  onlyOptions('openTestPipeline', options, OPTIONS)
  wholeNumber('splits', splits, 1)
  wholeNumber('batchSize', batchSize, 1)
  wholeNumber('seed', seed, 0)
  wholeNumber('now (epoch ms)', now, 0)
  if (from !== undefined && !(from.blobs instanceof Map))
    throw new TestKitError(`from is no snapshot, but ${kindOf(from)}: it goes on from what snapshot() gave, in the same process`)
  if (watermarks !== 'by strategy' && watermarks !== 'by hand')
    throw new TestKitError(`watermarks is '${watermarks}': there is 'by strategy' and 'by hand'`)
  if (options.parallelism !== undefined) wholeNumber('parallelism', options.parallelism, 1)
  const declared = graphOf(app)
  const names = namesOf(declared)
  for (const [name, sink] of Object.entries(sinks)) {
    sinkName(names, name)
    if (typeof sink?.open !== 'function')
      throw new TestKitError(`sinks: '${name}' is given no sink: it is one as .sink('name', …) takes it, such as print()`)
  }
  const collector = openCollector()
  const { graph, sides, deadLetters } = tapped(declared, collector, watermarks)
  const plan = planPhysical(graph, { parallelism: options.parallelism })
  const splitNames = new Map(names.sources.map(name => [name, Array.from({ length: splits }, (_, i) => `split ${i}`)]))
  const bound = { ...Object.fromEntries(names.sinks.map(name => [name, collector.sink(name)])), ...sinks }
  const counts = new Map(plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, splits] as const])))
  const topologyOf = (run: string) =>
    new Topology(plan, graph.name, run, counts, { sinks: bound, splits: splitNames, snapshots: true })
  const kind = { pipeline: graph.name, shape: shapeOf(plan), splits: Object.fromEntries(splitNames) }

  const clock = openHandClock(now)
  const random = dice(seed)
  let ids = 0
  const ports = await openEmbedded({ clock, random: { id: () => `t${++ids}`, fraction: random.fraction } })
  try {
    const topology =
      from === undefined
        ? topologyOf((await openRun(ports, kind, true)).meta.run)
        : await openFromSnapshot(ports, from, kind, topologyOf)
    let faults = checkFaults(options.faults ?? [])
    const environment: EnvironmentOptions = {
      topology,
      ports,
      faults: () => faults,
      dice: random.fork('throttle'),
      crashed: new Set(),
      batchSize,
    }
    const inputs = inputsOf(topology, from)
    const tasks = tasksOf(environment, inputs, now)
    const setFaults = (chosen: readonly TestFault[]) => {
      faults = checkFaults(chosen)
    }
    const close = () => ports.close()
    return testPipeline({ names, sides, deadLetters, inputs, tasks, clock, collector, environment, setFaults, close })
  } catch (error) {
    await ports.close()
    throw error
  }
}

/** The splits of each source, which go on where a snapshot stood. */
function inputsOf({ stages }: Topology, from: Snapshot | undefined): Map<string, readonly TestSplit[]> {
  return new Map(
    stages.flatMap(({ stage, parallelism }) => {
      const name = stage.source?.source?.name
      if (name === undefined) return []
      const first = (shard: number) => {
        const subtask = from?.manifest.subtasks.find(s => s.stage === stage.index && s.shard === shard)
        return Number(subtask?.head.source?.at ?? 0)
      }
      return [[name, Array.from({ length: parallelism }, (_, i) => openSplit(`'${name}', split ${i}`, first(i)))] as const]
    }),
  )
}

function tasksOf(environment: EnvironmentOptions, inputs: ReadonlyMap<string, readonly TestSplit[]>, now: number): Task[] {
  return environment.topology.stages.flatMap(at =>
    Array.from({ length: at.parallelism }, (_, shard) => ({
      at,
      shard,
      split: inputs.get(at.stage.source?.source?.name ?? '')?.[shard],
      cursor: undefined,
      heardAt: now,
      environment: openEnvironment(environment, at, shard),
      zombie: undefined,
    })),
  )
}
