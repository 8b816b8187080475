/**
 * The reference queries as a command: one query on one file of events.
 *
 *   npm run -s reference -- QUERY --events FILE[.gz] --bound MS --out FILE [--side FILE] [--parallelism N]
 *
 * Prints one line of JSON: events read and late, results (changes of rows count as such), rows in FILE, and how long it took.
 */
import { parseArgs } from 'node:util'
import { MillraceError } from 'millrace'
import { fileOf, type Query, runQuery } from './run.ts'

const USAGE = 'npm run -s reference -- QUERY --events FILE[.gz] --bound MS --out FILE [--side FILE] [--parallelism N]'

/** A mistake in the arguments, said in one sentence. */
class UsageError extends Error {}

function query(): Query {
  const { positionals, values } = parsed()
  const [name] = positionals
  if (name === undefined || positionals.length > 1) throw new UsageError('name one query')
  const query = name.split('_')[0]!
  if (fileOf(query) === undefined) throw new UsageError(`there is no query ${name}`)
  const { events, out, side } = values
  if (events === undefined) throw new UsageError('--events is missing')
  if (out === undefined) throw new UsageError('--out is missing')
  const boundMs = number('bound', values.bound, 0)
  return { query, events, boundMs, out, side, parallelism: number('parallelism', values.parallelism ?? '1', 1) }
}

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        events: { type: 'string' },
        bound: { type: 'string' },
        out: { type: 'string' },
        side: { type: 'string' },
        parallelism: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function number(flag: string, text: string | undefined, least: number): number {
  if (text !== undefined && /^\d+$/.test(text) && Number(text) >= least) return Number(text)
  throw new UsageError(`--${flag} ${text ?? ''} has to be a whole number from ${least}`)
}

try {
  const asked = query()
  const { outcome, events, deadLetters, late, results, rows, elapsedMs } = await runQuery(asked)
  const { query: name, parallelism } = asked
  console.log(JSON.stringify({ query: name, parallelism, outcome, events, deadLetters, late, results, rows, elapsedMs }))
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n${USAGE}`)
  else console.error(error instanceof MillraceError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
