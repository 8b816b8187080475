import type { StartedCheckpoint } from '../aws/functions/checkpoint.ts'
import type { Base } from '../checkpoint/base.ts'
import type { Decision } from '../checkpoint/decision.ts'
import { decodeManifest, manifestKey } from '../checkpoint/manifest.ts'
import { META, type RunMeta } from '../checkpoint/run-meta.ts'
import { decodeItem } from '../protocol/item.ts'
import { unpack } from '../state/codec.ts'
import { Violation } from './simulation.ts'
import { stagedFault } from './sinks-check.ts'
import type { StoredItem } from './store.ts'
import type { World } from './world.ts'

/** Of Lambda: until then somebody may write an older value yet. */
const INVOCATION_MS_MAX = 15 * 60_000

/**
 * What may only be done about a checkpoint once it is decided complete (protocol.md, D6): floors rise to its cuts, as far as these are in the base (C3, E5), and results become visible. Whoever says how one ended
 * has looked who has decided. What deletions leave behind stays for as long as somebody may write an older value (E4), and segments for as long as the base names them (E5). A run whose place another has taken is fenced, and begins no checkpoint any more (D8).
 */
export function watchActs(
  { services: { log: table, state, bucket }, topologyOf }: Pick<World, 'services' | 'topologyOf'>,
  report: (violation: Violation) => void,
) {
  const cutsOf = new Map<string, ReadonlyMap<string, number>>()
  /** Checkpoints whose sinks were looked at. */
  const settled = new Set<string>()

  function* decided(run: string): Generator<readonly [checkpoint: number, Decision['outcome']]> {
    for (const [checkpoint, { item }] of table.of(`${run}/decisions`).slots) yield [checkpoint, unpack<Decision>(item).outcome]
  }

  /** That of the highest number. */
  function lastDecision(run: string): readonly [checkpoint: number, Decision] | undefined {
    const { slots } = table.of(`${run}/decisions`)
    if (slots.size === 0) return undefined
    const n = Math.max(...slots.keys())
    return [n, unpack<Decision>(slots.get(n)!.item)]
  }

  const runs = () => [...table.of(META).slots.values()].map(({ item }) => unpack<RunMeta>(item))

  /** The cuts of a complete checkpoint, by log; none if its manifest is gone by now. */
  function cuts(run: string, checkpoint: number): ReadonlyMap<string, number> {
    const key = manifestKey(run, checkpoint)
    const known = cutsOf.get(key)
    const bytes = known === undefined ? bucket.get(key) : undefined
    if (bytes === undefined) return known ?? new Map()
    const found = new Map(decodeManifest(bytes, key).subtasks.map(({ log, version }) => [log, version]))
    cutsOf.set(key, found)
    return found
  }

  function floorFault(log: string, floor: number): string | undefined {
    const run = log.slice(0, log.indexOf('/'))
    const all = [...decided(run)]
    if (floor === Number.MAX_SAFE_INTEGER)
      return all.some(([, outcome]) => outcome === 'superseded') ? undefined : 'it is fenced, though its run has not ended'
    // Where the log of a restored run begins, or that of a shard that took over from others.
    const slot = table.get(log, floor)
    if (slot !== undefined && /^(restored|inherited)$/.test(decodeItem(slot).attempt)) return undefined
    const cut = Math.max(...all.map(([n, outcome]) => (outcome === 'complete' ? (cuts(run, n).get(log) ?? 0) : 0)))
    if (floor > cut) return `its floor rises to ${floor}, but the last cut that is complete is at ${cut}`
    const marker = state.get(`marker|${log}`)?.get('')?.v ?? 0
    return floor > marker ? `its floor rises to ${floor}, but what is folded goes to ${marker}` : undefined
  }

  return {
    onFloor(log: string, floor: number): void {
      if (!/^[^/]+\/[^/]+\/\d+$/.test(log)) return
      const fault = floorFault(log, floor)
      if (fault !== undefined) report(new Violation(`${log}: ${fault}`))
    },
    /** Where there is nothing to do, all that is complete is shown (D7). */
    onStart() {
      const { run } = runs().at(-1) ?? {}
      const [n, last] = (run !== undefined && lastDecision(run)) || []
      return ({ nothing }: { readonly nothing?: boolean }): void => {
        if (nothing !== true || run === undefined || runs().at(-1)!.run !== run) return
        if (n === undefined || last!.outcome !== 'complete' || last!.restored === true || settled.has(`${run} ${n}`)) return
        const key = manifestKey(run, n)
        const bytes = bucket.get(key)
        if (bytes === undefined) return
        settled.add(`${run} ${n}`)
        const fault = stagedFault(decodeManifest(bytes, key), topologyOf(run)!, bucket)
        if (fault !== undefined) report(new Violation(`nothing is to do behind checkpoint ${n} of ${run}, but ${fault}`))
      }
    },
    onStep({ run, checkpoint }: StartedCheckpoint) {
      const now = runs().at(-1)!.run
      return ({ outcome }: { readonly outcome?: string }): void => {
        const fail = (what: string) => report(new Violation(`a step of checkpoint ${checkpoint} of ${run} answers, ${what}`))
        if (now !== run) fail(`though run ${now} has taken its place`)
        const slot = outcome && table.get(`${run}/decisions`, checkpoint)
        const decided = slot && unpack<Decision>(slot).outcome
        if (decided && decided !== outcome) fail(`that it is ${outcome}, though it was decided ${decided}`)
      }
    },
    onDelete(key: string): void {
      const log = /^segments\/([^/]+\/[^/]+\/\d+)\//.exec(key)?.[1]
      const value = log === undefined ? undefined : state.get(`marker|${log}`)?.get('')?.value
      // Of a table there are no runs.
      if (value === undefined || value.length === 0 || !bucket.has(key)) return
      const { runs } = unpack<Pick<Base, 'runs'>>(value)
      if (runs.flat().some(({ blob }) => blob === key))
        report(new Violation(`${key} is deleted, though the base of ${log} has it`))
    },
    onSweep({ pk, sk, value, writtenAt }: StoredItem, now: number): void {
      const age = now - writtenAt
      if (value === undefined && !pk.startsWith('claims|') && age < INVOCATION_MS_MAX)
        report(
          new Violation(`the tombstone ${JSON.stringify(`${pk} ${sk}`)} is swept ${Math.round(age)} ms after it was written`),
        )
    },
    onBlob(key: string): void {
      // Whoever decides late would say of it what is not decided (D6).
      if (key.endsWith('/_metadata') && bucket.has(key)) report(new Violation(`the manifest ${key} is written over`))
      const found = /^results\/.*\/run=([^/]+)\/checkpoint-(\d+)-/.exec(key)
      if (found === null) return
      const [, run, number] = found
      const isOut = decided(run!).some(([n, outcome]) => outcome === 'complete' && n >= Number(number))
      const heir = runs().find(({ origin }) => origin?.run === run && origin!.checkpoint < Number(number))
      if (heir !== undefined)
        report(new Violation(`${key} is shown, though run ${heir.run} goes on from checkpoint ${heir.origin!.checkpoint}`))
      if (!isOut) report(new Violation(`${key} is shown, though no checkpoint from ${Number(number)} on is complete`))
    },
  }
}
