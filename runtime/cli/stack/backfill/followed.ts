import type { BackfillPlan } from '../../../aws/functions/backfill.ts'
import type { Job } from '../../../batch/job.ts'
import type { BoundedSummary, StageProgress } from '../../../batch/options.ts'
import { readJsonBlob } from '../../../batch/stored/json-blob.ts'
import { doneOf, failuresOf } from '../../../batch/stored/names.ts'
import type { StoredPart } from '../../../batch/stored/parts.ts'
import { summaryOf } from '../../../batch/summary.ts'
import { inWindows } from '../../../connectors/at-once.ts'
import type { Blobs } from '../../../ports.ts'
import { tasksOf } from './waves.ts'

const READ_AT_ONCE = 16

/** What is known of a part that is done. */
type Part = Pick<StoredPart, 'counts' | 'written' | 'firstDeadLetter'> & { readonly stage: number; readonly isLast: boolean }

/** How a backfill on AWS goes on, by what its tasks have left in the bucket: each is read once. */
export function follow(blobs: Pick<Blobs, 'get' | 'list'>, plan: BackfillPlan, job: Job) {
  const parts = new Map<string, Part>()
  const pieces = Object.fromEntries(Object.entries(job.pieces).map(([name, list]) => [name, list.length]))
  const begun = new Map<number, { at: number; done: number }>()

  async function look(): Promise<void> {
    const fresh = (await blobs.list(doneOf(job.run))).filter(key => !parts.has(key))
    const read = async (key: string) => [key, (await readJsonBlob<StoredPart>(blobs, key))!] as const
    for await (const [key, { counts, written, firstDeadLetter, paused }] of inWindows(READ_AT_ONCE, fresh, read)) {
      const stage = Number(key.slice(doneOf(job.run).length).split('-')[0])
      parts.set(key, { counts, written, firstDeadLetter, stage, isLast: paused === undefined })
    }
  }

  /** Counts of a part are those of the parts before too. */
  const through = (stage: number) => [...parts.values()].filter(part => part.stage === stage && part.isLast)

  return {
    look,
    progress(now: number): StageProgress[] {
      return plan.stages.map((stage, i) => {
        const tasks = tasksOf(stage, pieces)
        const done = through(i)
        const fraction = tasks === 0 ? 1 : done.length / tasks
        const isOpen = stage.from.every(from => through(from).length === tasksOf(plan.stages[from]!, pieces))
        if (isOpen && !begun.has(i)) begun.set(i, { at: now, done: done.length })
        const since = begun.get(i)
        const gained = since === undefined ? 0 : done.length - since.done
        const leftMs = fraction === 1 ? 0 : gained > 0 ? ((now - since!.at) * (tasks - done.length)) / gained : undefined
        const records = done.reduce((n, { counts }) => n + counts.recordsIn, 0)
        return { id: stage.id, tasks, done: done.length, running: isOpen && fraction < 1 ? 1 : 0, fraction, records, leftMs }
      })
    },
    summary(outcome: BoundedSummary['outcome'], resumed: boolean, elapsedMs: number): BoundedSummary {
      const { run, skippedFiles } = job
      const stages = plan.stages.map((stage, i) => ({
        id: stage.id,
        isSource: stage.source !== undefined,
        subtasks: tasksOf(stage, pieces),
        results: through(i),
        written: [...parts.values()].flatMap(part => (part.stage === i ? [part.written] : [])),
      }))
      return summaryOf({ outcome, pipeline: plan.pipeline, run, resumed, skippedFiles, elapsedMs }, stages)
    },
    /** Why it failed, as the task says that could not be done; undefined: none has said so. */
    async failure(): Promise<string | undefined> {
      const [key] = await blobs.list(failuresOf(job.run))
      if (key === undefined) return undefined
      const said = await readJsonBlob<{ stage: string; shard: number; error: string; message: string }>(blobs, key)
      return said && `subtask ${said.shard} of stage ${said.stage}: ${said.error}: ${said.message}`
    },
  }
}
