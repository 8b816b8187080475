import type { CommitLog, Ports } from '../ports.ts'
import { pack, unpack } from '../state/codec.ts'

/** What a run was told last by who operates it. */
export interface Stop {
  /** It was to stop; false: to go on. */
  readonly stopped: boolean
  /** Epoch ms. */
  readonly at: number
}

const stopsLog = (run: string) => `${run}/stops`
const PAGE = 200

/** Undefined: nobody has ever stopped it. */
export async function lastStop(log: CommitLog, run: string): Promise<Stop | undefined> {
  return (await readStops(log, run)).last
}

/** A call of the schedule that is under way finds it: no checkpoint begins by itself behind it. */
export async function tellStop({ log, clock }: Pick<Ports, 'log' | 'clock'>, run: string, stopped: boolean): Promise<void> {
  const item = pack({ stopped, at: clock.now() } satisfies Stop)
  for (;;) {
    const { last, next } = await readStops(log, run)
    if (stopped === (last?.stopped ?? false) || (await log.putIfAbsent(stopsLog(run), next, item))) return
  }
}

async function readStops(log: CommitLog, run: string): Promise<{ last: Stop | undefined; next: number }> {
  let last: Stop | undefined
  for (let next = 1; ; ) {
    const page = await log.range(stopsLog(run), next, PAGE)
    if (page.length > 0) last = unpack<Stop>(page.at(-1)!.item)
    next = (page.at(-1)?.version ?? next - 1) + 1
    if (page.length < PAGE) return { last, next }
  }
}
