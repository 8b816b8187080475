import { blobsOf } from '../checkpoint/left-by-run.ts'
import type { Blobs } from '../ports.ts'
import { type Database, text } from './database.ts'
import { SEQUENCE_SPAN } from './streams.ts'

/** Deletes all that a run has left, when another one has taken its place in the directory for good. */
export async function forgetRun(db: Database, blobs: Blobs, run: string): Promise<void> {
  // Behind `x/` and everything that starts with it comes `x0`, behind `x|` comes `x}`.
  const within = { logs: [text(`${run}/`), text(`${run}0`)], base: [text(`${run}|`), text(`${run}}`)] } as const
  const ofLogs = ['marker', 'claims'].map(kind => [text(`${kind}|${run}/`), text(`${kind}|${run}0`)] as const)
  await db.call(db.meter('forget'), () =>
    db.transaction(() => {
      const channels = db.prepare('select id from channels where stream >= ? and stream < ?').all(...within.logs)
      const frames = db.prepare('delete from frames where id > ? and id < ?')
      for (const [id] of channels as unknown as [number][]) frames.run(id * SEQUENCE_SPAN, (id + 1) * SEQUENCE_SPAN)
      db.prepare('delete from slots where log >= ? and log < ?').run(...within.logs)
      db.prepare('delete from floors where log >= ? and log < ?').run(...within.logs)
      const base = db.prepare('delete from base where pk >= ? and pk < ?')
      base.run(...within.base)
      for (const range of ofLogs) base.run(...range)
    }),
  )
  for (const prefix of blobsOf(run)) for (const key of await blobs.list(prefix)) await blobs.delete(key)
}
