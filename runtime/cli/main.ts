import { readFileSync } from 'node:fs'
import { suggest } from '../suggest.ts'
import { backfill } from './backfill/backfill.ts'
import { checkpoint } from './checkpoint.ts'
import { checkpoints } from './checkpoints.ts'
import type { Command } from './command.ts'
import { diff } from './diff.ts'
import { errorText, UsageError } from './error.ts'
import { fork } from './fork.ts'
import { commandHelp, groupHelp, overview } from './help.ts'
import { parseArguments } from './parse.ts'
import { plan } from './plan.ts'
import { rescale } from './rescale.ts'
import { run } from './run.ts'
import { savepointCreate } from './savepoint/create.ts'
import { savepointDelete } from './savepoint/delete.ts'
import { savepointDiff } from './savepoint/diff.ts'
import { savepointInspect } from './savepoint/inspect.ts'
import { savepointList } from './savepoint/list.ts'
import { savepointVerify } from './savepoint/verify.ts'
import { start } from './start.ts'
import { stateGet } from './state-get.ts'
import { status } from './status.ts'
import { stop } from './stop.ts'

const SAVEPOINTS = [savepointCreate, savepointList, savepointInspect, savepointDiff, savepointVerify, savepointDelete]
/** All of them, as the overview lists them. */
export const COMMANDS: readonly Command[] = [
  run,
  plan,
  diff,
  backfill,
  rescale,
  stateGet,
  checkpoints,
  ...SAVEPOINTS,
  status,
  checkpoint,
  stop,
  start,
  fork,
]

/** The command `millrace`: resolves with its exit code (0 done, 1 failed while running, 2 wrong arguments, file, pipeline or state directory). */
export async function main(words: readonly string[]): Promise<number> {
  // `millrace plan FILE | head` is no failure.
  process.stdout.on('error', error => process.exit((error as NodeJS.ErrnoException).code === 'EPIPE' ? 0 : 1))
  try {
    return await dispatch(words)
  } catch (error) {
    process.stderr.write(`${errorText(error, words.includes('--verbose') || process.env.MILLRACE_DEBUG === '1')}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

async function dispatch(words: readonly string[]): Promise<number> {
  const [first, second] = words
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') return helpFor(words.slice(1))
  if (first === '--version') {
    const { version } = JSON.parse(readFileSync(new URL(import.meta.resolve('millrace/package.json')), 'utf8'))
    process.stdout.write(`${version}\n`)
    return 0
  }
  const command = find(first, second)
  if (command === undefined) {
    if (groupOf(first).length > 0 && (second === '--help' || second === '-h')) return helpFor([first])
    throw unknown(first, second)
  }
  const args = parseArguments(command, words.slice(command.name.split(' ').length))
  if (args.has('help')) {
    process.stdout.write(commandHelp(command))
    return 0
  }
  return command.run(args)
}

/** `millrace help`, `millrace help run`, `millrace help savepoint`. */
function helpFor([first, second]: readonly string[]): number {
  if (first === undefined) {
    process.stdout.write(overview(COMMANDS))
    return 0
  }
  const group = second === undefined ? groupOf(first) : []
  const command = group.length === 1 ? group[0] : find(first, second)
  if (command === undefined && group.length === 0) throw unknown(first, second)
  process.stdout.write(command === undefined ? groupHelp(first, group) : commandHelp(command))
  return 0
}

function find(first: string, second: string | undefined): Command | undefined {
  return COMMANDS.find(c => c.name === first || c.name === `${first} ${second}`)
}

function groupOf(first: string): Command[] {
  return COMMANDS.filter(c => c.name.startsWith(`${first} `))
}

function unknown(first: string, second: string | undefined): UsageError {
  const group = groupOf(first).map(c => c.name)
  if (group.length > 0)
    return new UsageError(
      second === undefined
        ? `millrace ${first} needs to be told what to do${suggest('', group)}`
        : `there is no command '${first} ${second}'${suggest(`${first} ${second}`, group)}`,
    )
  const what = first.startsWith('-') ? `millrace has no flag ${first} before a command` : `there is no command '${first}'`
  return new UsageError(
    `${what}${suggest(
      first,
      COMMANDS.map(c => c.name),
    )}`,
  )
}
