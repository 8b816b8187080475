import { decodeManifest } from '../checkpoint/manifest.ts'
import { unguarded } from '../graph/guarded.ts'
import { keyGroup, keyOfId } from '../graph/key.ts'
import type { BaseItem, CommitLog } from '../ports.ts'
import { decodeItem } from '../protocol/item.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import { operatorOf } from '../state/address.ts'
import type { Operation, Sandbox } from './sandbox.ts'
import { Violation } from './simulation.ts'
import { subtaskOf } from './subtask-of.ts'

/** What one environment asks of services: each request goes through here. */
export type View = <T>(operation: Operation<T>) => Operation<T>

/** A cold start, from the first thing that it asks: how far the base goes. */
interface Loading {
  readonly log: string
  readonly marker: number
  /** Where it begins to read the log. */
  floor?: number
  loaded?: Loaded
}

/** What it has read of the log. */
interface Loaded {
  readonly log: string
  readonly marker: number
  readonly floor: number
  head: number
  /** Objects with state changes behind the marker. */
  readonly chunks: { readonly version: number; readonly blob: string }[]
}

/** What a checkpoint that was read keeps of a log's changes. */
interface Kept {
  readonly version: number
  readonly folded: number
  readonly blobs: readonly string[]
}

/** State that was read: of a log, or of an operator's key group, and the version that it is of. */
interface Read {
  readonly whose: string
  readonly version: number
}

/**
 * What an environment may put into a slot, given what it has read of the state behind the log: none of it is of a version beyond the slot before (protocol.md, E2), and nothing is left out between the end of the base, as it
 * was told that, and where it began to read the log (C2, E3), nor of what is in objects between the base and the end of the log. Seen at the put itself: mostly another attempt wins, and then nobody sees anything of it.
 * Timers are read one after the other, so that nothing else may follow where some are of the future, but another load.
 */
export function openView(
  sandbox: Pick<Sandbox, 'name' | 'isMixed' | 'invocations'>,
  topologyOf: (run: string) => Topology | undefined,
  report: (violation: Violation) => void,
): View {
  let invocation = 0
  let loading: Loading | undefined
  /** The same, until it reads the log: reads of a load that was given up may be under way beside it. */
  let asked: Loading | undefined
  /** By log. */
  const begun = new Map<string, Loaded>()
  /** The last of them. */
  let loaded: Loaded | undefined
  /** Timers that it has read are of a version beyond its view. */
  let stale: string | undefined
  /** Objects that it has read, ever. */
  const got = new Set<string>()
  const kept = new Map<string, Kept[]>()
  /** In this invocation, by the subtask as it was loaded last. */
  let reads: Read[] = []
  /** Of the manifest that was read last: blobs of logged changes, and what they come to. */
  let changes = new Map<string, Read>()

  const keyed = (topology: Topology, stage: number) => keyedNodes(topology.stages[stage]!.stage).map(k => k.operatorId)

  /** Undefined: not known, of a key that is long, or a copy that each subtask has. */
  function groupOf(topology: Topology, pk: string): string | undefined {
    const rest = pk.slice(topology.run.length + 1)
    const operatorId = operatorOf(
      rest,
      topology.stages.flatMap(s => keyed(topology, s.stage.index)),
    )
    if (operatorId === undefined) return undefined
    const id = rest.slice(operatorId.length + 1)
    if (id.startsWith('timers|')) return `${operatorId} ${id.slice('timers|'.length)}`
    const key = /^[sn]/.test(id) ? keyOfId(unguarded(id)) : undefined
    return key === undefined ? undefined : `${operatorId} ${keyGroup(key, topology.plan.options.keyGroups)}`
  }

  function* ownersOf(topology: Topology, log: string): Generator<string> {
    yield log
    const { stage, shard } = subtaskOf(topology, log)
    const { from, to } = topology.shard(stage.index, shard)
    for (const operatorId of keyed(topology, stage.index))
      for (let group = from; group < to; group++) yield `${operatorId} ${group}`
  }

  function puts(log: string, version: number): void {
    const [, run] = /^([^/]+)\/[^/]+\/\d+$/.exec(log) ?? []
    const topology = run === undefined || sandbox.isMixed ? undefined : topologyOf(run)
    if (topology === undefined) return
    const fail = (what: string) => report(new Violation(`${sandbox.name} puts slot ${version} of ${log}, though ${what}`))
    const load = begun.get(log)
    const { marker = 0, floor = 0 } = load ?? {}
    if (floor > marker) fail(`what it knows of the base goes to ${marker}, and it has read the log from ${floor} on`)
    const missed = load?.chunks.find(({ version, blob }) => !got.has(blob) && !isKept(load, version))
    if (missed !== undefined)
      fail(`what it knows of the base goes to ${marker}, and it has not read what slot ${missed.version} changed`)
    const owners = new Set(ownersOf(topology, log))
    const newer = reads.find(r => r.version >= version && owners.has(r.whose))
    if (newer !== undefined) fail(`it has read state of version ${newer.version}`)
  }

  function isKept({ log, marker }: Loaded, version: number): boolean {
    return (kept.get(log) ?? []).some(
      ({ version: to, folded, blobs }) => version <= to && folded <= marker && blobs.every(blob => got.has(blob)),
    )
  }

  function readSlots(slots: Awaited<ReturnType<CommitLog['range']>>, into: Loaded): void {
    for (const { version, item } of slots) {
      if (version !== into.head + 1) return
      into.head = version
      if (version <= into.marker) continue
      const slot = decodeItem(item)
      const chunk = slot.kind === 'abort' ? undefined : slot.chunk
      if (chunk !== undefined && 'blob' in chunk) into.chunks.push({ version, blob: chunk.blob })
    }
  }

  function readTimers(items: readonly BaseItem[]): void {
    const topology = loaded && !sandbox.isMixed ? topologyOf(loaded.log.slice(0, loaded.log.indexOf('/'))) : undefined
    const newer = topology && items.find(({ v }) => v > loaded!.head)
    if (newer === undefined || ![...ownersOf(topology!, loaded!.log)].includes(groupOf(topology!, newer.pk)!)) return
    stale = `it has read timers of version ${newer.v}, and ${loaded!.log} up to ${loaded!.head}`
  }

  function readItems(items: readonly (BaseItem | undefined)[], into: Read[]): void {
    for (const item of items) {
      const topology = item && topologyOf(item.pk.slice(0, item.pk.indexOf('|')))
      const whose = topology && groupOf(topology, item!.pk)
      if (whose !== undefined) into.push({ whose, version: item!.v })
    }
  }

  function readBlob(key: string, bytes: Uint8Array | undefined, into: Read[]): void {
    if (bytes !== undefined) got.add(key)
    const read = changes.get(key)
    if (read !== undefined) into.push(read)
    if (bytes === undefined || !key.endsWith('/_metadata')) return
    const { subtasks } = decodeManifest(bytes, key)
    for (const { log, version, folded = version, changes = [] } of subtasks)
      kept.set(log, [...(kept.get(log) ?? []), { version, folded, blobs: changes.map(({ blob }) => blob) }])
    changes = new Map(
      subtasks.flatMap(({ log, version, changes = [] }) => changes.map(({ blob }) => [blob, { whose: log, version }])),
    )
  }

  /** Of an answer. */
  function watch({ name }: Operation<unknown>): ((answer: any) => void) | undefined {
    const [call, first, second] = name.split(' ') as [string, string, string]
    const marker = call === 'store.batchGet' && second?.startsWith('marker|') ? second.slice('marker|'.length) : undefined
    if (stale !== undefined && marker === undefined && !sandbox.isMixed)
      report(new Violation(`${sandbox.name} goes on with ${name}, though ${stale}`))
    stale = undefined
    if (marker !== undefined) {
      reads = []
      return ([item]) => {
        loading = { log: marker, marker: item?.v ?? 0 }
        asked = loading
      }
    }
    if (call === 'log.floor' && asked?.log === first) {
      loading = asked
      loaded = undefined
      begun.delete(first)
    }
    if (/^(log|streams)\./.test(call)) asked = undefined
    const isOfLoad = loading?.log === first && /^log\.(floor|get|range)$/.test(call)
    const current = isOfLoad ? loading : undefined
    loading = current
    const into = reads
    switch (call) {
      case 'log.floor':
        return floor => {
          if (current !== undefined) current.floor = floor
        }
      case 'log.range':
        if (current?.floor === Number(second) - 1) {
          const { log, marker, floor } = current
          loaded = { log, marker, floor, head: floor, chunks: [] }
          current.loaded = loaded
          begun.set(log, loaded)
        }
        return current?.loaded && (slots => readSlots(slots, current.loaded!))
      case 'log.put':
        puts(first, Number(second))
        return undefined
      case 'store.range':
        return answer => {
          readItems(answer, into)
          if (/\|timers\|/.test(first)) readTimers(answer)
        }
      case 'store.batchGet':
        return answer => readItems(answer, into)
      case 'blobs.get':
        return bytes => readBlob(name.slice('blobs.get '.length), bytes, into)
      default:
        return undefined
    }
  }

  return operation => {
    if (sandbox.invocations !== invocation) {
      invocation = sandbox.invocations
      loading = undefined
      asked = undefined
      loaded = undefined
      stale = undefined
      reads = []
    }
    const heard = watch(operation)
    if (heard === undefined) return operation
    return {
      ...operation,
      apply() {
        const answer = operation.apply()
        heard(answer)
        return answer
      },
    }
  }
}
