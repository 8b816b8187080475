import { readChanges } from '../checkpoint/changes.ts'
import { readLayouts } from '../checkpoint/layouts.ts'
import { openLogBase } from '../checkpoint/log-base.ts'
import { readManifest, type SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { completeCheckpoints } from '../checkpoint/restore.ts'
import type { RunMeta } from '../checkpoint/run-meta.ts'
import { MillraceError } from '../errors.ts'
import { canonicalKey, type Key, type KeyPart, keyGroup } from '../graph/key.ts'
import type { KeyRange } from '../graph/key-ranges.ts'
import type { Shape } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { BaseItem } from '../ports.ts'
import { SegmentCache } from '../snapshot/segment-cache.ts'
import { firstLayout, type Layout, openShards } from '../stage/layout.ts'
import { type StateBackend, TABLE } from '../state/backend.ts'
import { BaseLoader, type BaseReads } from '../state/base.ts'
import { BROADCAST_KEY } from '../state/broadcast.ts'
import { applyState, forEachChange } from '../state/changelog.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import { KeyedState } from '../state/keyed-state.ts'
import { listBounds } from '../state/spec.ts'
import { compareParts } from '../state/timers.ts'
import { suggest } from '../suggest.ts'
import { paneStart } from '../windows/window.ts'
import type { Readable } from './checkpoints.ts'
import { eventTimeOf } from './event-time.ts'

export interface StateQuery {
  /** Operator id, as `millrace plan` prints it, or a uid. */
  readonly operator: string
  /** Undefined: the operator's broadcast state, which is the same for all keys. */
  readonly key: Key | undefined
  /** Name of one state; undefined: all. */
  readonly state?: string
}

/** What a state holds: a value, a list as an array, a map as a list of [subkey, value]. The subkey of a pane is its start in ISO 8601. */
export interface FoundState {
  readonly state: string
  readonly value: unknown
}

/** Which of an operator's declarations a state is made of. */
export interface Declared {
  readonly name: string
  readonly kind: 'value' | 'list' | 'map'
  readonly index: number
}

/** An operator as it was when its state was written. */
export interface Owner {
  readonly stage: string
  /** Of the key; 0 for broadcast state, of which each subtask has the same. */
  readonly subtask: number
  readonly key: KeyPart
  readonly declarations: readonly StateDeclaration[]
}

const CACHE_BYTES = 16 * 2 ** 20

/**
 * The state of one key, as of the last completed checkpoint, without what its time to live has ended: in event time by the watermark of the key's subtask at that
 * checkpoint, in processing time by `now` (epoch ms). Once the input has ended, event time goes no further: what is there then stays.
 * @throws MillraceError for an operator or state that the run does not have
 */
export async function stateOf(ports: Readable, meta: RunMeta, query: StateQuery, now = Date.now()): Promise<FoundState[]> {
  const owner = await ownerOf(ports, meta, query)
  const states = statesOf(owner, query)
  const keyed = new KeyedState(owner.declarations)
  const space = { run: meta.run, operatorId: query.operator, subtask: owner.subtask }
  const log = `${meta.run}/${owner.stage}/${owner.subtask}`
  const view = () => Number.POSITIVE_INFINITY
  const base = openLogBase(backendOf(meta), ports, { run: meta.run, log, view })
  keyed.loader = new BaseLoader(dated(base), space, view)
  const marker = await base.marker()
  await keyed.load([owner.key])
  const unfolded = await unfoldedPart(ports, meta, log, marker)
  if (unfolded !== undefined) await replay(unfolded, query.operator, keyed, owner.key, ports)
  const eventTime = await eventTimeOf(ports, log, unfolded?.version ?? marker)
  return readStates(keyed, owner, states, eventTime, now)
}

/** States of a key that is in memory, without what has no value. `eventTime`, `now`: by which they age, epoch ms. */
export async function readStates(
  keyed: KeyedState,
  { key, declarations }: Pick<Owner, 'key' | 'declarations'>,
  states: readonly Declared[],
  eventTime: number,
  now: number,
): Promise<FoundState[]> {
  const entry = keyed.lookup(key)!
  const found: FoundState[] = []
  for (const { name, kind, index } of states) {
    const { ttl, panes } = declarations[index]!
    const at = ttl?.time === 'processing' ? now : eventTime
    if (kind === 'value') {
      const value: unknown = keyed.value(entry, index, at)
      if (value !== undefined) found.push({ state: name, value })
      continue
    }
    keyed.want(entry, index, 'all')
    await keyed.load([])
    const sorted = [...keyed.mapEntries(entry, index, at)].sort(([a], [b]) => compareParts(a, b))
    const entries = panes === undefined ? sorted : sorted.map(([number, value]) => [paneStart(panes, Number(number)), value])
    if (entries.length > 0) found.push({ state: name, value: kind === 'list' ? entries.map(([, value]) => value) : entries })
  }
  return found
}

/** A subtask in the last complete checkpoint, if that keeps changes which are not in the base yet. */
async function unfoldedPart(ports: Readable, meta: RunMeta, log: string, marker: number): Promise<SubtaskSnapshot | undefined> {
  const last = (await completeCheckpoints(ports, meta.run)).at(-1)
  if (last === undefined) return undefined
  const part = (await readManifest(ports.blobs, meta.run, last)).subtasks.find(s => s.log === log)
  return part?.changes !== undefined && part.changes.length > 0 && part.version > marker ? part : undefined
}

/** Over what the base has of the key. */
async function replay(
  { changes = [], keyed: ids = [], version }: SubtaskSnapshot,
  operatorId: string,
  keyed: KeyedState,
  key: KeyPart,
  ports: Readable,
): Promise<void> {
  const operator = ids.indexOf(operatorId)
  for await (const chunk of readChanges(ports.blobs, changes)) {
    forEachChange(chunk, change => {
      if (change.operator !== operator || change.key !== key || typeof change.state !== 'number') return
      if (change.timestamp === 0) change.timestamp = Number.POSITIVE_INFINITY // as in `dated`
      applyState(keyed, change.state, change, version)
    })
  }
}

async function ownerOf(ports: Readable, meta: RunMeta, query: StateQuery): Promise<Owner> {
  const shape: Shape = JSON.parse(meta.shape)
  const owners = shape.stages.flatMap(stage => stage.operators.map(operator => ({ stage, operator })))
  const withState = owners.filter(({ operator }) => operator.states.length > 0)
  const owner = withState.find(({ operator }) => operator.id === query.operator)
  if (owner === undefined)
    throw new MillraceError(
      `there is no operator '${query.operator}' with state${
        suggest(
          query.operator,
          withState.map(o => o.operator.id),
        ) || ': there is none'
      }`,
    )
  const declarations = owner.operator.states.map(stateOfText)
  const stage = owner.stage.id
  // Of broadcast state each subtask has a copy: any will do.
  const key = query.key === undefined ? BROADCAST_KEY : canonicalKey(query.key, 'state get')
  const group = query.key === undefined ? 0 : keyGroup(key, shape.keyGroups)
  const layouts = new Map((await readLayouts(ports.log, meta.run)).layouts)
  const layout = layouts.get(shape.stages.indexOf(owner.stage)) ?? firstLayout(owner.stage.parallelism ?? 1, shape.keyGroups)
  const subtask = await lastBegun(ports, `${meta.run}/${stage}`, layout, group)
  return { stage, subtask, key, declarations }
}

/** The shard that has a key group, or had it, as long as the one that is to take over has not begun. */
async function lastBegun({ log }: Readable, stream: string, layout: Layout, group: number): Promise<number> {
  const owns = ({ from, to }: KeyRange) => from <= group && group < to
  let shard = openShards(layout).find(owns)!
  while (shard.parents.length > 0 && (await log.floor(`${stream}/${shard.shard}`)) === 0)
    shard = layout[shard.parents.find(p => owns(layout[p]!))!]!
  return shard.shard
}

/**
 * The states that were declared, or the one that is asked for.
 * @throws MillraceError when there is no such state
 */
export function statesOf(
  { declarations }: Pick<Owner, 'declarations'>,
  query: Pick<StateQuery, 'operator' | 'state'>,
): Declared[] {
  const names = new Set(declarations.map(d => d.name))
  const hidden = new Set([...names].map(listBounds).filter(bounds => names.has(bounds)))
  const states = declarations.flatMap(({ name, primitive }, index): Declared[] =>
    hidden.has(name) ? [] : [{ name, index, kind: hidden.has(listBounds(name)) ? 'list' : primitive }],
  )
  const chosen = query.state === undefined ? states : states.filter(s => s.name === query.state)
  if (chosen.length === 0)
    throw new MillraceError(
      `operator '${query.operator}' has no state '${query.state}'${suggest(
        query.state!,
        states.map(s => s.name),
      )}`,
    )
  return chosen
}

/** What is read of a key's segments is read once. */
function backendOf({ stateBackend }: RunMeta): StateBackend {
  return stateBackend === 'segments' ? { kind: stateBackend, cache: new SegmentCache({ bytesMax: CACHE_BYTES }) } : TABLE
}

/** The run does not say which states have a time to live; their entries do. Without one they never end. */
function dated(store: BaseReads): BaseReads {
  const date = (item: BaseItem): BaseItem => ({ ...item, expiry: item.expiry ?? Number.POSITIVE_INFINITY })
  return {
    batchGet: async addresses => (await store.batchGet(addresses)).map(item => item && date(item)),
    range: async (pk, from, to, limit) => (await store.range(pk, from, to, limit)).map(date),
  }
}
