/**
 * The reference queries as a command: one query on one file of events.
 *
 *   npm run -s reference -- QUERY --events FILE[.gz] --bound MS --out FILE [--side FILE] [--parallelism N]
 *
 * Prints one line of JSON: events read and late, results (changes of rows count as such), rows in FILE, and how long it took.
 */
import { parseArgs } from 'node:util'
import { MillraceError } from 'millrace'
import { fileOf, loadQuery, type Query, queries, runQuery } from './run.ts'

const HELP =
  'Runs a reference query (../shared/reference/README.md says what each means). FILE of --out has a row a line, in any order: sort both to compare. --side: the second input of q13.'
const USAGE = 'npm run -s reference -- QUERY --events FILE[.gz] --bound MS --out FILE [--side FILE] [--parallelism N]'

/** A mistake in the arguments, said in one sentence. */
class UsageError extends Error {}

function query({ positionals, values }: ReturnType<typeof parsed>): Query {
  const [name] = positionals
  if (name === undefined || positionals.length > 1) throw new UsageError('name one query')
  const query = name.split('_')[0]!
  if (fileOf(query) === undefined) throw new UsageError(`there is no query ${name}: there is ${queries().join(', ')}`)
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
        help: { type: 'boolean' },
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

async function main(): Promise<void> {
  const given = parsed()
  if (given.values.help) return console.log(`${USAGE}\n\n${HELP}\n\nQueries: ${queries().join(', ')}`)
  const asked = query(given)
  const sources = (await loadQuery(asked.query, asked.boundMs)).graph().nodes.flatMap(({ source }) => source?.name ?? [])
  if (sources.includes('side') !== (asked.side !== undefined))
    throw new UsageError(
      `${asked.query} ${asked.side === undefined ? 'needs its second input: --side' : 'has no second input: leave --side out'}`,
    )
  const { outcome, events, deadLetters, late, results, rows, elapsedMs } = await runQuery(asked)
  const { query: name, parallelism } = asked
  console.log(JSON.stringify({ query: name, parallelism, outcome, events, deadLetters, late, results, rows, elapsedMs }))
}

try {
  await main()
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n${USAGE}`)
  else console.error(error instanceof MillraceError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
