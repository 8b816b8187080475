import { decisions } from '../checkpoint/decision.ts'
import { listManifests } from '../checkpoint/manifest.ts'
import { type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { MillraceError } from '../errors.ts'
import { canonicalKey, type Key, type KeyPart } from '../graph/key.ts'
import type { Blobs, Ports } from '../ports.ts'
import { entryPk, fromSortable } from '../state/address.ts'
import { unpack } from '../state/codec.ts'
import { listBlobs } from './blobs.ts'
import { readDatabase } from './database.ts'
import { embeddedLog } from './log.ts'
import { embeddedStore } from './store.ts'

export interface CheckpointInfo {
  readonly n: number
  /** interrupted: the process ended during it; startedAt is then when the next one noticed. */
  readonly status: 'complete' | 'failed' | 'interrupted'
  /** A run can start from it: `millrace run --from-snapshot DIR@N`. Older ones go. */
  readonly kept: boolean
  /** Epoch ms. */
  readonly startedAt: number
  readonly completedAt: number
  /** Of state that it materialised. */
  readonly bytes: number
  readonly reason?: string
}

/**
 * The checkpoints of a state directory, oldest first.
 * @throws MillraceError when the directory holds no run
 */
export async function listCheckpoints(directory: string): Promise<CheckpointInfo[]> {
  return withRun(directory, async (ports, meta) => {
    const manifests = new Set(meta.snapshots ? await listManifests(ports.blobs, meta.run) : [])
    return (await decisions(ports.log, meta.run)).map(({ checkpoint, decision }) => ({
      n: checkpoint,
      status: decision.outcome === 'superseded' ? ('failed' as const) : decision.outcome,
      kept: decision.outcome === 'complete' && manifests.has(checkpoint),
      startedAt: decision.startedAt,
      completedAt: decision.decidedAt,
      bytes: decision.bytes,
      reason: decision.reason,
    }))
  })
}

export interface StateQuery {
  /** Operator id, as `millrace plan` prints it, or a uid. */
  readonly operator: string
  readonly key: Key
  /** Name of one state; undefined: all. */
  readonly state?: string
}

/**
 * The state of one key, as of the last completed checkpoint. Map states come as a list of [subkey, value].
 * @throws MillraceError for an operator or state that the run does not have
 */
export async function getState(directory: string, query: StateQuery): Promise<{ state: string; value: unknown }[]> {
  return withRun(directory, async (ports, meta) => {
    const states = statesOf(meta, query)
    const space = { run: meta.run, operatorId: query.operator, subtask: 0 }
    const pk = entryPk(space, canonicalKey(query.key, 'state get'))
    const found: { state: string; value: unknown }[] = []
    for (const { name, primitive } of states) {
      if (primitive === 'value') {
        const [item] = await ports.store.batchGet([{ pk, sk: `v|${name}` }])
        if (item?.value !== undefined) found.push({ state: name, value: unpack(item.value) })
      } else {
        const entries = await mapEntries(ports, pk, name)
        if (entries.length > 0) found.push({ state: name, value: entries })
      }
    }
    return found
  })
}

async function mapEntries(ports: Readable, pk: string, name: string): Promise<[KeyPart, unknown][]> {
  const entries: [KeyPart, unknown][] = []
  const prefix = `m|${name}|`
  for (let from = prefix; ; ) {
    const items = await ports.store.range(pk, from, `${prefix}~`, 1000)
    for (const item of items)
      if (item.value !== undefined) entries.push([fromSortable(item.sk.slice(prefix.length)), unpack(item.value)])
    if (items.length < 1000) return entries
    from = `${items.at(-1)!.sk}\u0000`
  }
}

function statesOf(meta: RunMeta, query: StateQuery): { name: string; primitive: string }[] {
  const shape = JSON.parse(meta.shape) as { stages: { operators: { id: string; states: string[] }[] }[] }
  const operators = shape.stages.flatMap(s => s.operators).filter(o => o.states.length > 0)
  const operator = operators.find(o => o.id === query.operator)
  if (operator === undefined) {
    throw new MillraceError(
      `there is no operator '${query.operator}' with state; there is ${operators.map(o => o.id).join(', ') || 'none'}`,
    )
  }
  const states = operator.states.map(s => ({ name: s.slice(0, s.lastIndexOf(':')), primitive: s.slice(s.lastIndexOf(':') + 1) }))
  const chosen = query.state === undefined ? states : states.filter(s => s.name === query.state)
  if (chosen.length === 0) {
    throw new MillraceError(
      `operator '${query.operator}' has no state '${query.state}'; it has ${states.map(s => s.name).join(', ')}`,
    )
  }
  return chosen
}

/** What can be read beside a process that has the directory open. */
interface Readable extends Pick<Ports, 'log' | 'store'> {
  readonly blobs: Pick<Blobs, 'list'>
}

async function withRun<T>(directory: string, work: (ports: Readable, meta: RunMeta) => Promise<T>): Promise<T> {
  const db = readDatabase(directory)
  if (db === undefined) throw new MillraceError(`${directory} holds no run`)
  try {
    const ports = { log: embeddedLog(db), store: embeddedStore(db), blobs: { list: listBlobs(db) } }
    const meta = await readRun(ports)
    if (meta === undefined) throw new MillraceError(`${directory} holds no run`)
    return await work(ports, meta)
  } catch (error) {
    throw db.named(error)
  } finally {
    db.close()
  }
}
