/** Where a worker thread begins: it makes the pipeline again, from its module, and works on the subtasks that it is told to open. */
import { parentPort, workerData } from 'node:worker_threads'
import { MillraceError } from '../../errors.ts'
import { planOfRun } from '../../graph/plan-for.ts'
import { Topology } from '../../stage/topology.ts'
import { commitLimits } from '../commit-limits.ts'
import { bindSources, sourceSplits } from '../sources.ts'
import { openBackend } from '../state-backend.ts'
import { localWorker, type SubtaskView, type Worker, type WorkerSetting } from '../worker.ts'
import type { Assignment, SubtaskId } from './assignment.ts'
import { readFlags } from './flags.ts'
import { type Peer, peer } from './peer.ts'
import { remotePorts, remoteStreams } from './ports.ts'
import type { ThreadModule } from './threads.ts'

/** The size of state is told anew once in so many commits. */
const MEASURE_EVERY = 16

const workers = new Map<string, Worker>()
const setting = settle(workerData as Assignment)
const main: Peer = peer(
  parentPort!,
  {
    open: async (id: SubtaskId) => {
      const worker = newWorker(await setting, id)
      workers.set(String(id), worker)
      await worker.open()
      return plain(worker.view, worker.view?.stateBytes ?? 0)
    },
    run: (id: SubtaskId) => at(id).run(),
    close: (id: SubtaskId) => at(id).close(),
    announce: (id: SubtaskId) => at(id).announce(),
    requestCut: (id: SubtaskId, checkpoint: number) => at(id).requestCut(checkpoint),
    materialised: (id: SubtaskId, version: number) => at(id).materialised(version),
    relieve: async (id: SubtaskId) => {
      await at(id).relieve()
      return at(id).view?.stateBytes ?? 0
    },
    end: () => parentPort!.close(),
  },
  error => main.tell('failed', String(error)),
)
setting.catch(() => {}) // told to whoever opens a subtask

function at(id: SubtaskId): Worker {
  return workers.get(String(id))!
}

async function settle(given: Assignment): Promise<WorkerSetting> {
  const module = (await import(given.module)) as { default: ThreadModule }
  const { graph, sources, sinks } = await module.default(given.data)
  const plan = planOfRun(graph, { parallelism: given.parallelism, chaining: given.chaining }, given.shape)
  if (plan === undefined)
    throw new MillraceError(
      `${given.module} gave a thread another pipeline than the one that is run: it has to give the same each time`,
    )
  const splits = new Map(given.splits)
  const bindings = {
    sources,
    sinks,
    splits,
    snapshots: given.snapshots,
    compression: false,
    stateBackend: openBackend(given.stateBackend, given.stateBytes / given.threads),
  }
  const topology = new Topology(plan, graph.name, given.run, sourceSplits(plan, splits), bindings)
  const flags = readFlags(given.flags)
  const ports = remotePorts(() => main)
  const shared = {
    ports,
    streams: remoteStreams(ports, () => main, flags.congested),
    batchSize: given.batchSize,
    startedAt: given.startedAt,
    ...flags,
    keepOpen: given.keepOpen,
  }
  const limits = commitLimits(given.batchSize, given.stateBytes, shared.ended)
  return {
    topology,
    connectors: bindSources(plan, sources),
    splits,
    limits,
    shared,
    sourceTimes: given.sourceTimes,
    stateBytesMax: () => given.stateBytesMax,
  }
}

function newWorker(common: WorkerSetting, id: SubtaskId): Worker {
  const [stage, shard] = id
  let commits = 0
  let stateBytes = 0
  const worker = localWorker(
    common.topology.stages[stage]!,
    shard,
    common,
    notable => {
      const { view } = worker
      if (view !== undefined && commits++ % MEASURE_EVERY === 0) stateBytes = view.stateBytes
      return main.call('committed', id, plain(view, stateBytes), notable)
    },
    () => main.tell('readToEnd', id),
  )
  return worker
}

/** Of values: a view tells what it is asked. */
function plain(view: SubtaskView | undefined, stateBytes: number): SubtaskView | undefined {
  if (view === undefined) return undefined
  const { version, fields, sinks, firstDeadLetter } = view
  return { version, fields, sinks, firstDeadLetter, stateBytes }
}
