import type { MaterialiseEvent } from '../aws/functions/materialise.ts'
import { readBase } from '../checkpoint/base.ts'
import { segmentsOf } from '../checkpoint/blob-names.ts'
import { readChanges } from '../checkpoint/changes.ts'
import { fold, type LoggedChunk, spaceOf } from '../checkpoint/fold.ts'
import { decodeManifest, type Manifest, manifestsOf, type SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { readMarker } from '../checkpoint/marker.ts'
import type { KeyedStore, Ports } from '../ports.ts'
import type { CommitItem, SealItem } from '../protocol/item.ts'
import { joinAddress } from '../snapshot/item.ts'
import { mergeRuns, type Runs } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'
import { type Bucket, keysOf } from './blobs.ts'
import type { Services } from './ports.ts'
import type { StateTable } from './store.ts'
import { subtaskOf } from './subtask-of.ts'
import type { World } from './world.ts'

/** Entries of keyed state by address, without the run; those that were deleted are not there. */
type State = Map<string, string>

/** What a commit has made of entries; undefined: deleted. */
interface Committed {
  readonly version: number
  readonly changes: ReadonlyMap<string, string | undefined>
  /** What has expired by it may have gone. */
  readonly watermark: number
  /** The last checkpoint whose cut is in it, or before it. */
  readonly lastCut: number
}

interface ShadowLog {
  /** As the log begins. */
  readonly first: State
  /** In order. */
  readonly commits: Committed[]
}

/**
 * Keyed state as the commits of a run say it is, beside what checkpoints and the base make of the same commits. No fold, no segment, no marker is part of it, so that whatever these lose, double or bring back is
 * seen (protocol.md, E).
 */
export interface Shadow {
  /** A commit that has won its slot. */
  commit(log: string, version: number, item: CommitItem | SealItem): void
  /** Folds as they begin. */
  foldBegins(event: MaterialiseEvent): void
  /** What is wrong with the state that a complete checkpoint holds; undefined: nothing. */
  ofCheckpoint(manifest: Manifest): Promise<string | undefined>
  /** What is wrong with the base, once nothing runs any more. */
  ofBase(): Promise<string | undefined>
}

const NONE: Committed['changes'] = new Map()

export function openShadow(world: World): Shadow {
  const { bucket } = world.services
  const logs = new Map<string, Promise<ShadowLog>>()
  /** By log: the newest checkpoint that a fold began for. */
  const folds = new Map<string, number>()

  const of = (log: string) => {
    const shadow = logs.get(log) ?? begin(log)
    logs.set(log, shadow)
    return shadow
  }

  /** A restored run begins with the state of its first checkpoint. */
  async function begin(log: string): Promise<ShadowLog> {
    const run = log.slice(0, log.indexOf('/'))
    const first = keysOf(bucket, manifestsOf(run)).find(key => key.endsWith('/_metadata'))
    const part = first && decodeManifest(bucket.get(first)!, first).subtasks.find(s => s.log === log)
    const restored = part && part.attempt === 'restored'
    return { first: restored ? await stateOf(part, world.topologyOf(run)!, bucket) : new Map(), commits: [] }
  }

  return {
    commit(log, version, { chunk, head: { watermark, lastCut } }) {
      const bytes = chunk && ('inline' in chunk ? chunk.inline : bucket.get(chunk.blob)!)
      const before = of(log)
      const after = async () => {
        const shadow = await before
        const changes =
          bytes === undefined ? NONE : await changesOf(log, version, bytes, world.topologyOf(log.slice(0, log.indexOf('/')))!)
        shadow.commits.push({ version, changes, watermark, lastCut })
        return shadow
      }
      logs.set(log, after())
    },
    foldBegins({ start, part: { stage, shard } }) {
      const topology = world.topologyOf(start.run)!
      const log = topology.log(
        topology.stages.findIndex(s => s.stage.id === stage),
        shard,
      )
      folds.set(log, Math.max(folds.get(log) ?? 0, start.checkpoint))
    },
    async ofCheckpoint({ run, subtasks }) {
      const then: Bucket = new Map(bucket)
      for (const part of subtasks) {
        const committed = stateAt(await of(part.log), part.version)
        const difference = stateDifference(committed, await stateOf(part, world.topologyOf(run)!, then), part.head.watermark)
        if (difference !== undefined) return `the state of ${part.log} at its cut is not what was committed: ${difference}`
      }
      return undefined
    },
    async ofBase() {
      const { services, topology } = world
      const all: ShadowOfLog[] = []
      for (const { stage } of topology!.stages)
        for (const { shard, parents } of topology!.layout(stage.index)) {
          const log = topology!.log(stage.index, shard)
          const before = parents.map(parent => topology!.log(stage.index, parent))
          all.push({ log, shadow: await of(log), parents: before, folding: folds.get(log) ?? 0 })
        }
      const difference = await (topology!.stateBackend.kind === 'segments' ? segmentsDifference : tableDifference)(
        all,
        topology!.run,
        services,
      )
      return difference && `the base is not what was committed: ${difference}`
    },
  }
}

function stateAt({ first, commits }: ShadowLog, version: number): State {
  const state = new Map(first)
  for (const commit of commits) if (commit.version <= version) change(state, commit.changes)
  return state
}

function watermarkAt({ commits }: ShadowLog, version: number): number {
  return commits.findLast(c => c.version <= version)?.watermark ?? Number.NEGATIVE_INFINITY
}

function change(state: State, changes: Committed['changes']): void {
  for (const [address, value] of changes)
    if (value === undefined) state.delete(address)
    else state.set(address, value)
}

async function changesOf(log: string, version: number, chunk: Uint8Array, topology: Topology): Promise<Committed['changes']> {
  const changes = new Map<string, string | undefined>()
  const { stage, shard } = subtaskOf(topology, log)
  const chunks = async function* (): AsyncGenerator<LoggedChunk> {
    yield { version, chunk }
  }
  await fold(spaceOf(topology, stage, shard), false, chunks(), {
    async add(folded) {
      for (const { address, item } of folded)
        changes.set(address.slice(topology.run.length + 1), item.value && textOf(item.value, item.expiry))
    },
    async done() {},
  })
  return changes
}

/** Raw bytes and expiry, to compare. */
function textOf(value: Uint8Array, expiry: number | undefined): string {
  return `${Buffer.from(value).toString('base64')} ${expiry ?? ''}`
}

function hasExpired(text: string, watermark: number): boolean {
  const expiry = text.slice(text.indexOf(' ') + 1)
  return expiry !== '' && Number(expiry) < watermark
}

/** What a subtask's part of a checkpoint holds. */
async function stateOf(part: SubtaskSnapshot, topology: Topology, bucket: Bucket): Promise<State> {
  const blobs = { get: async (key: string) => bucket.get(key) }
  const state = await stateIn(part.runs ?? [], blobs)
  for await (const chunk of readChanges(blobs, part.changes ?? []))
    change(state, await changesOf(part.log, part.version, chunk, topology))
  return state
}

async function stateIn(runs: Runs, blobs: Pick<Ports['blobs'], 'get'>): Promise<State> {
  const state: State = new Map()
  for await (const { address, value, expiry } of mergeRuns(blobs, runs))
    if (value !== undefined) state.set(address, textOf(value, expiry))
  return state
}

interface ShadowOfLog {
  readonly log: string
  readonly shadow: ShadowLog
  /** Those that it took over from, each of which comes before it. */
  readonly parents: readonly string[]
  /** The newest checkpoint that a fold began for. */
  readonly folding: number
}

type Logs = readonly ShadowOfLog[]

/** Of what has expired the same as in a table. */
async function segmentsDifference(logs: Logs, _run: string, { state, bucket }: Services): Promise<string | undefined> {
  for (const { log, shadow, folding } of logs) {
    const { version, runs } = await readBase(storeOf(state), log)
    const found = await stateIn(runs, { get: async key => bucket.get(key) })
    const checkpoint = Math.max(0, ...runs.flat().map(({ blob }) => Number.parseInt(blob.slice(segmentsOf(log).length), 10)))
    const cut = foldedTo(shadow, [checkpoint, folding], version)
    const difference = stateDifference(stateAt(shadow, version), found, watermarkAt(shadow, Math.max(version, cut)))
    if (difference !== undefined) return `${log}: ${difference}`
  }
  return undefined
}

/** The cut that the last fold was on its way to. One to which all had expired has left no segment that tells its checkpoint: then it may have been the newest that began. */
function foldedTo({ commits }: ShadowLog, checkpoints: readonly number[], marker: number): number {
  const cuts = checkpoints.map(checkpoint => commits.find(c => c.lastCut >= checkpoint)?.version ?? 0)
  return cuts.find(cut => cut >= marker) ?? 0
}

/** Rows of all subtasks lie side by side, and what has expired by the cut that a fold was on its way to may be missing, though it came to an end before it was there. What was changed behind a marker may be in them, or not. */
async function tableDifference(logs: Logs, run: string, { state: table }: Services): Promise<string | undefined> {
  const expected: State = new Map()
  const newer = new Set<string>()
  const expired = new Set<string>()
  /** What a log, or one that it took over from, has ever had. */
  const owned = new Map<string, Set<string>>()
  for (const { log, shadow, parents } of logs) {
    const marker = await readMarker(storeOf(table), log)
    const claimed = Math.max(...Array.from(table.get(`claims|${log}`)?.values() ?? [], ({ v }) => v))
    const watermark = watermarkAt(shadow, Math.max(marker, claimed))
    const mine = new Set([...parents.flatMap(parent => [...owned.get(parent)!]), ...shadow.first.keys()])
    owned.set(log, mine)
    for (const [address, value] of shadow.first) expected.set(address, value)
    for (const { version, changes } of shadow.commits) {
      if (version <= marker) change(expected, changes)
      for (const address of changes.keys()) (version <= marker ? mine : newer).add(address)
    }
    for (const address of mine) if (hasExpired(expected.get(address) ?? '', watermark)) expired.add(address)
  }
  const found: State = new Map()
  for (const [pk, items] of table)
    if (pk.startsWith(`${run}|`))
      for (const [sk, { value, expiry }] of items)
        if (value !== undefined) found.set(joinAddress(pk, sk).slice(run.length + 1), textOf(value, expiry))
  for (const address of newer) {
    expected.delete(address)
    found.delete(address)
  }
  for (const address of expired) if (!found.has(address)) expected.delete(address)
  return stateDifference(expected, found)
}

/** Looks into the table at once, by which nothing of the simulation moves. */
function storeOf(table: StateTable): KeyedStore {
  const none = () => {
    throw new Error('only looked at')
  }
  return {
    batchGet: async addresses => addresses.map(({ pk, sk }) => table.get(pk)?.get(sk)),
    range: none,
    upsert: none,
    sweep: none,
  }
}

/** `watermark`: what has expired by it may be missing. */
function stateDifference(expected: State, found: State, watermark = Number.NEGATIVE_INFINITY): string | undefined {
  for (const address of new Set([...expected.keys(), ...found.keys()])) {
    const [is, was] = [found.get(address), expected.get(address)]
    if (is === was) continue
    const name = JSON.stringify(address)
    if (is === undefined && hasExpired(was!, watermark)) continue
    if (is === undefined) return `${name} is missing`
    if (was === undefined) return `${name} should not be there`
    return `${name} has another value`
  }
  return undefined
}
