import { extname } from 'node:path'
import { Worker as Thread } from 'node:worker_threads'
import { MillraceError } from '../../errors.ts'
import type { LogicalGraph } from '../../graph/graph.ts'
import type { Topology } from '../../stage/topology.ts'
import type { Shared } from '../loops.ts'
import type { RunOptions } from '../run-options.ts'
import type { RunBindings, SubtaskView, Worker, WorkerSetting } from '../worker.ts'
import { type Assignment, type SubtaskId, threadOf } from './assignment.ts'
import { flagMemory, writeFlags } from './flags.ts'
import { type Peer, peer } from './peer.ts'
import { servePorts } from './ports.ts'

/** The default export of a thread's module: the pipeline that is run, and what is bound in the place of its connectors. It may be asked in any thread. */
export type ThreadModule = (data: any) => Promise<RunBindings & { readonly graph: LogicalGraph }>

/** The threads of one run. */
export interface Threads {
  /** A subtask in one of them. `onCommit` is called after each of its commits, and waited for. */
  worker(id: SubtaskId, onCommit: (notable: boolean) => void | Promise<void>): Worker
  /** Shows them what has become of the run. */
  refresh(): void
  close(): Promise<void>
}

/** A thread that has nothing left to do ends within this. */
const END_MS = 2_000

interface Remote {
  readonly onCommit: (notable: boolean) => void | Promise<void>
  view: SubtaskView | undefined
  readToEnd: boolean
}

/**
 * Starts the threads. The state directory stays with this one, which answers the calls of their ports: what is committed, and how, is the same as without them. Checkpoints
 * and folds are done here too.
 */
export function startThreads(
  { threads, parallelism, chaining = true }: RunOptions,
  { topology, splits, shared, sourceTimes, stateBytesMax }: WorkerSetting,
  stateBytes: number,
  failed: (error: unknown) => void,
): Threads {
  const { module, data, count } = threads!
  const flags = flagMemory()
  const refresh = () => writeFlags(flags, shared)
  const assignment: Assignment = {
    module: String(module),
    data,
    parallelism,
    chaining,
    run: topology.run,
    shape: topology.shape,
    snapshots: topology.snapshots,
    stateBackend: topology.stateBackend.kind,
    splits: [...splits],
    batchSize: shared.batchSize,
    keepOpen: shared.keepOpen,
    startedAt: shared.startedAt,
    stateBytesMax: stateBytesMax(),
    stateBytes,
    threads: count,
    flags,
    sourceTimes,
  }
  const remotes = new Map<string, Remote>()
  const handlers = {
    ...servePorts(shared.ports),
    async 'streams.put'(...args: Parameters<Shared['streams']['put']>) {
      const seq = await shared.streams.put(...args)
      refresh()
      return seq
    },
    consumed: (stream: string, bytes: number) => {
      shared.streams.consumed(stream, bytes)
      refresh()
    },
    async committed(id: SubtaskId, view: SubtaskView | undefined, notable: boolean) {
      const remote = remotes.get(String(id))!
      remote.view = view
      await remote.onCommit(notable)
      refresh()
    },
    readToEnd: (id: SubtaskId) => {
      remotes.get(String(id))!.readToEnd = true
    },
    failed: (reason: string) => failed(new MillraceError(reason)),
  }
  refresh()
  const all = Array.from({ length: count }, () => startThread(assignment, handlers, failed))
  return {
    worker(id, onCommit) {
      const remote: Remote = { onCommit, view: undefined, readToEnd: false }
      remotes.set(String(id), remote)
      return remoteWorker(id, topology, remote, all[threadOf(id, count)]!.peer)
    },
    refresh,
    async close() {
      await Promise.all(all.map(end))
    },
  }
}

/** By itself, so that what it has printed comes out; and else, because something of the user's keeps it, from here. */
async function end({ thread, peer, exited }: ReturnType<typeof startThread>): Promise<void> {
  peer.tell('end')
  const timer = setTimeout(() => thread.terminate(), END_MS)
  await exited
  clearTimeout(timer)
}

function startThread(assignment: Assignment, handlers: Parameters<typeof peer>[1], failed: (error: unknown) => void) {
  // The sources run as they are here, and compiled where they are installed as a package.
  const thread = new Thread(new URL(`./thread${extname(import.meta.url)}`, import.meta.url), { workerData: assignment })
  const failure = (why: string, cause?: unknown) => {
    const error = new MillraceError(`a thread of this run ended: ${why}`, { cause })
    line.end(error)
    return error
  }
  const line: Peer = peer(thread, handlers, failed)
  thread.on('error', error => failed(failure(error.message, error)))
  const exited = new Promise<void>(resolve => {
    thread.on('exit', code => {
      failure(`exit code ${code}`)
      resolve()
    })
  })
  return { thread, peer: line, exited }
}

function remoteWorker([stage, shard]: SubtaskId, topology: Topology, remote: Remote, thread: Peer): Worker {
  const at = topology.stages[stage]!
  const id: SubtaskId = [stage, shard]
  return {
    at,
    shard,
    log: topology.log(stage, shard),
    get view() {
      return remote.view
    },
    get readToEnd() {
      return at.stage.source === undefined || remote.readToEnd || (remote.view?.fields.sourceDone ?? false)
    },
    async open() {
      remote.view = await thread.call('open', id)
    },
    run: () => thread.call('run', id),
    close: () => thread.call('close', id),
    announce: () => thread.tell('announce', id),
    requestCut: checkpoint => thread.tell('requestCut', id, checkpoint),
    materialised: version => thread.tell('materialised', id, version),
    async relieve() {
      const stateBytes: number = await thread.call('relieve', id)
      if (remote.view !== undefined) remote.view = { ...remote.view, stateBytes }
    },
  }
}
