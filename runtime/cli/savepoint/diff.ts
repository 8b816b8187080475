import { inspect } from 'node:util'
import type { EntryDifference, SavepointDifference } from '../../savepoint/diff.ts'
import type { Command } from '../command.ts'
import { asUsage, UsageError } from '../error.ts'
import { columns, count, watermark } from '../format.ts'
import { fields } from './inspect.ts'
import { withSavepoint } from './place.ts'

const ENTRIES = 10
const VALUE_CHARS_MAX = 200

export const savepointDiff: Command = {
  name: 'savepoint diff',
  summary: 'Show how two savepoints differ',
  description: `Shows what is different in a second savepoint: the pipeline's shape, where the sources stand, how many entries of each state and how many timers were added (+), removed (-) and changed (~), and the first of them
with their values. Both are read once, side by side, whatever their size.
Exit code 0 if they are alike, 1 if they differ.`,
  positionals: [
    { name: 'BEFORE', help: 'a savepoint: its directory, or s3://BUCKET/KEY' },
    { name: 'AFTER', help: 'another one' },
  ],
  flags: {
    entries: { value: 'N', help: `How many entries are shown one by one (default ${ENTRIES})` },
    json: { help: 'Print the difference as JSON' },
  },
  examples: ['millrace savepoint diff before-the-sale after-the-sale', 'millrace savepoint diff monday tuesday --entries 100'],
  async run(args) {
    const [before, after] = args.positionals as [string, string]
    const max = entriesOf(args.text('entries'))
    const { diffSavepoints } = await import('../../savepoint/diff.ts')
    const found = await asUsage(() => withSavepoint(before, a => withSavepoint(after, b => diffSavepoints(a, b, max))))
    const isDifferent =
      found.shape !== undefined || found.positions.length > 0 || found.states.some(s => s.added + s.removed + s.changed > 0)
    if (args.has('json')) process.stdout.write(`${JSON.stringify({ before, after, isDifferent, ...found }, asText, 2)}\n`)
    else process.stdout.write(isDifferent ? textOf(found) : `${before} and ${after} hold the same\n`)
    return isDifferent ? 1 : 0
  },
}

function entriesOf(text: string | undefined): number {
  if (text === undefined) return ENTRIES
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--entries ${text}: a whole number is needed`)
  return Number(text)
}

/** What JSON has no form for, as it is shown to people. */
function asText(_: string, value: unknown): unknown {
  const isPlain = typeof value !== 'bigint' && !(value instanceof Map) && !(value instanceof Set) && !ArrayBuffer.isView(value)
  return isPlain ? value : inspect(value, { breakLength: Number.POSITIVE_INFINITY })
}

function textOf({ shape, positions, states, entries }: SavepointDifference): string {
  const parts: string[] = []
  if (shape !== undefined) parts.push(`the pipeline: ${shape}`)
  if (positions.length > 0)
    parts.push(
      positions
        .map(
          p =>
            `${p.source} ${p.split}: ${p.before === undefined ? 'not read' : fields(p.before)} → ${p.after === undefined ? 'not read' : fields(p.after)}`,
        )
        .join('\n'),
    )
  const different = states.filter(s => s.added + s.removed + s.changed > 0)
  if (different.length > 0)
    parts.push(
      columns([
        ['operator', 'state', '+', '-', '~', 'same'],
        ...different.map(s => [s.operator, s.state, count(s.added), count(s.removed), count(s.changed), count(s.same)]),
      ]),
    )
  const total = different.reduce((sum, s) => sum + s.added + s.removed + s.changed, 0)
  const more = total > entries.length ? `\n… ${count(total - entries.length)} more (--entries N)` : ''
  if (entries.length > 0) parts.push(entries.map(entryText).join('\n') + more)
  return `${parts.join('\n\n')}\n`
}

function entryText(entry: EntryDifference): string {
  const { operator, state, owner, subkey, before, after } = entry
  if (state.endsWith(' timers'))
    return `${before === undefined ? '+' : '-'} ${operator} ${state} ${owner} ${watermark(Number(subkey))}`
  const of = `${operator} ${state} ${owner}${subkey === undefined ? '' : ` ${JSON.stringify(subkey)}`}`
  if (before === undefined) return `+ ${of}: ${valueText(after)}`
  if (after === undefined) return `- ${of}: ${valueText(before)}`
  return `~ ${of}: ${valueText(before)} → ${valueText(after)}`
}

function valueText(value: unknown): string {
  const text = inspect(value, { breakLength: Number.POSITIVE_INFINITY, depth: 5 })
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text
}
