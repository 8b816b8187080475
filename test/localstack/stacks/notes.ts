import { createHash } from 'node:crypto'
import { monotonous, ndjson, type Pipeline, pipeline, print, value } from '../../../runtime/index.ts'

export interface Note {
  readonly user: string
  readonly round: number
}

const NOTE = {
  '~standard': { version: 1, vendor: 'test', validate: (note: unknown) => ({ value: note as Note }) },
} as const

/** Of a note, base64: nothing makes it much smaller. */
const NOTE_CHARS = 80_000
const HASH_CHARS = 88

function textOf({ user, round }: Note): string {
  const part = (i: number) => createHash('sha512').update(`${user} ${round} ${i}`).digest('base64')
  return Array.from({ length: Math.ceil(NOTE_CHARS / HASH_CHARS) }, (_, i) => part(i)).join('')
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex')

/** Keeps a long text for each user, and says at each record what it had before: as much state as folds wait for, from few records. */
export function notes(): Pipeline {
  const app = pipeline('notes')
  app
    .source('notes', ndjson<Note>(NOTE as never), { time: n => n.round, watermark: monotonous() })
    .keyBy('user')
    .process({
      state: { text: value<string>() },
      onRecord(note, { state }) {
        const before = state.text.get()
        state.text.set(textOf(note))
        return [{ ...note, before: before === undefined ? null : digest(before) }]
      },
    })
    .uid('texts')
    .sink('seen', print())
  return app
}

export default notes()
