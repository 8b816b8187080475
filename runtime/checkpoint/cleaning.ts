import { atOnce } from '../connectors/at-once.ts'
import type { Clearing, Ports } from '../ports.ts'
import { pack, unpack } from '../state/codec.ts'
import { decisionsLog } from './decision.ts'
import { fenceRun } from './fence.ts'
import { type FormerRun, formerRuns } from './former-runs.ts'
import { oldestHeld } from './hold.ts'
import { blobsOf, keepLastDecision, runOfItem, runOfLog } from './left-by-run.ts'

/** What is cleaned, and how much of it at a time. */
export interface CleaningPolicy {
  /** What a run has left stays for so long after another has taken its place, ms. */
  readonly keepMs: number
  /** Of one call: rows and blobs to delete; at the end of it, one page more at most. */
  readonly deletesMax: number
  /** Of one call, ms. */
  readonly workMs: number
  /** Rows that are looked at in one go. */
  readonly page: number
}

/** How far cleaning has come: a blob, written behind what it stands for, so that whoever goes on from an older one does something twice, and nothing else. */
interface Progress {
  /** Runs that nothing is left of. */
  readonly cleaned: readonly string[]
  /** Those whose turn it is: a table is read once for all of them. */
  readonly runs: readonly string[]
  readonly step: 'blobs' | 'state' | 'log'
  /** Where the step goes on. */
  readonly after?: string
}

const PROGRESS = 'cleaning'
const NOTHING: Progress = { cleaned: [], runs: [], step: 'blobs' }
const DELETES_AT_ONCE = 32

interface Work extends CleaningPolicy {
  readonly ports: Pick<Ports, 'log' | 'blobs' | 'clock'>
  readonly clearing: Clearing
  readonly until: number
  deletes: number
}

/**
 * A part of the work of deleting what former runs have left: so much of it that nobody waits for it, going on where the last call has ended. A run is independent of those before it, since a restore copies all that it
 * takes over (restore.ts). Of a former run stay its floors, so that its logs remain fenced, and its last decision. One that somebody copies a checkpoint of is left alone as long as he does.
 *
 * Gives when there is more to do, epoch ms; Infinity: not before another run has taken the place of this one. Two at a time, and one that dies anywhere, do no harm.
 */
export async function cleanFormerRuns(
  ports: Pick<Ports, 'log' | 'blobs' | 'clock'>,
  clearing: Clearing,
  policy: CleaningPolicy,
): Promise<number> {
  const stored = await ports.blobs.get(PROGRESS)
  let progress = stored === undefined ? NOTHING : unpack<Progress>(stored)
  const now = ports.clock.now()
  if (progress.runs.length === 0) {
    const former = (await formerRuns(ports)).filter(({ run }) => !progress.cleaned.includes(run))
    const due = former.filter(({ replacedAt = Number.POSITIVE_INFINITY }) => replacedAt + policy.keepMs <= now)
    const free = await notHeld(due, ports)
    if (free.length === 0) return due.length > 0 ? now : Math.min(...former.map(f => (f.replacedAt ?? Infinity) + policy.keepMs))
    await endFor(free, ports)
    progress = { ...progress, runs: free.map(({ run }) => run), step: 'blobs' }
  }
  const work: Work = { ...policy, ports, clearing, until: now + policy.workMs, deletes: 0 }
  while (progress.runs.length > 0 && work.deletes < work.deletesMax && ports.clock.now() < work.until)
    progress = await goOn(progress, work)
  await ports.blobs.put(PROGRESS, pack(progress))
  return now
}

async function notHeld(runs: readonly FormerRun[], { blobs, clock }: Work['ports']): Promise<FormerRun[]> {
  const free: FormerRun[] = []
  for (const former of runs)
    if ((await oldestHeld(blobs, former.run, clock.now())) === Number.POSITIVE_INFINITY) free.push(former)
  return free
}

/** C1: before anything of a log is deleted. A restore has done that already, but of one that hung before. */
async function endFor(runs: readonly FormerRun[], { log }: Work['ports']): Promise<void> {
  for (const { run, meta } of runs) {
    if (meta !== undefined) await fenceRun(log, meta)
    await keepLastDecision(log, run)
  }
}

async function goOn(progress: Progress, work: Work): Promise<Progress> {
  const { cleaned, runs, step, after } = progress
  if (step === 'blobs') return (await deleteBlobs(runs, work)) ? { cleaned, runs, step: 'state' } : progress
  const left = new Set(runs)
  const { deleted, next } =
    step === 'state'
      ? await work.clearing.state(pk => left.has(runOfItem(pk)), after, work.page)
      : await work.clearing.log(log => left.has(runOfLog(log)) && log !== decisionsLog(runOfLog(log)), after, work.page)
  work.deletes += deleted
  if (next !== undefined) return { cleaned, runs, step, after: next }
  return step === 'state' ? { cleaned, runs, step: 'log' } : { cleaned: [...cleaned, ...runs], runs: [], step: 'blobs' }
}

/** False: there are more. */
async function deleteBlobs(runs: readonly string[], work: Work): Promise<boolean> {
  const { blobs } = work.ports
  for (const prefix of runs.flatMap(blobsOf)) {
    const left = Math.max(0, work.deletesMax - work.deletes)
    // One more, which tells whether there is more.
    const keys = await blobs.list(prefix, left + 1)
    const some = keys.slice(0, left)
    await atOnce(DELETES_AT_ONCE, some, key => blobs.delete(key))
    work.deletes += some.length
    if (some.length < keys.length) return false
  }
  return true
}
