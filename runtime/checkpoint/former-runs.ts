import type { Ports } from '../ports.ts'
import { type Attempt, META, RESTORING, type RunMeta, readAll } from './run-meta.ts'

/** A run whose place another has taken, or that a restore has begun and did not finish. */
export interface FormerRun {
  readonly run: string
  /** As it was last; undefined: it never began. */
  readonly meta: RunMeta | undefined
  /** Epoch ms: since then nothing is begun for it any more. Undefined: its restore may still be under way. */
  readonly replacedAt: number | undefined
}

/** All that a directory, or a stack, has had besides its run, oldest first. */
export async function formerRuns(ports: Pick<Ports, 'log'>): Promise<FormerRun[]> {
  const metas = await readAll<RunMeta>(ports, META)
  const attempts = await readAll<Attempt>(ports, RESTORING)
  // A run has a slot for each shape that it has adopted.
  const firsts = metas.filter(({ run }, i) => metas[i - 1]?.run !== run)
  const replaced = new Map(firsts.slice(1).map(({ createdAt }, i) => [firsts[i]!.run, createdAt]))
  const former = [...replaced].map(([run, replacedAt]) => ({ run, meta: metas.findLast(m => m.run === run), replacedAt }))
  const runs = new Set(firsts.map(({ run }) => run))
  const unfinished = attempts.filter(({ run }) => !runs.has(run))
  // It can't be finished once another run has taken the place that it was to take.
  const lostAt = ({ instead }: Attempt) => (instead === undefined ? firsts[0]?.createdAt : replaced.get(instead))
  return [...former, ...unfinished.map(attempt => ({ run: attempt.run, meta: undefined, replacedAt: lostAt(attempt) }))]
}
