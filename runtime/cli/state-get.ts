import type { Key } from '../graph/key.ts'
import type { FoundState, StateQuery } from '../inspect/state.ts'
import type { Arguments, Command } from './command.ts'
import { asUsage } from './error.ts'
import { withRun } from './stack/look.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { checkStateDirectory } from './state-directory.ts'

export const stateGet: Command = {
  name: 'state get',
  summary: "Show an operator's state for a key",
  description: `Shows what the operator keeps for KEY, as of the last checkpoint, one line of JSON for each of its states, also while a run is on. OPERATOR is its uid, or its id as millrace plan prints it.
A list is shown as an array, a map as an array of [key, value]. The panes of a tumbling or sliding window are shown with the time at which they begin; each is as wide as the greatest common divisor of size and slide. What has outlived its time to live is left out: in event time by the watermark of that checkpoint, in processing time by this machine's clock. Once the input has ended, event time goes no further, so nothing more expires: all that was still kept then is shown.
A KEY that reads as a number or as a tuple in JSON is looked up as that first, then as a string; '"42"', quotes included, is always a string.
Exit code 1 if nothing is kept for that key.`,
  positionals: [
    { name: 'DIR', unless: 'stack', help: 'the state directory of a run' },
    { name: 'OPERATOR', help: "the operator's id" },
    { name: 'KEY', unless: 'broadcast', help: 'the key: a string, a number, or a tuple such as \'["u1",7]\'' },
  ],
  flags: {
    ...STACK_FLAGS,
    broadcast: { help: 'Show the broadcast state of the operator, which is the same for all keys' },
    state: { value: 'NAME', help: 'Only this state of the operator' },
    json: { help: 'Print one JSON array instead of lines' },
  },
  examples: [
    'millrace state get trending u42 --stack Shop',
    'millrace state get state trending u42',
    'millrace state get state rules --broadcast',
    'millrace state get state sessions \'["u42","shop"]\' --state last',
  ],
  async run(args) {
    const words = args.text('stack') === undefined ? args.positionals.slice(1) : args.positionals
    const [operator, text] = words as [string, string | undefined]
    const look = args.text('stack') === undefined ? await lookIntoDirectory(args.positionals[0]!) : await lookIntoStack(args)
    for (const key of text === undefined ? [undefined] : keysOf(text)) {
      const found = await asUsage(() => look({ operator, key, state: args.text('state') }))
      if (found.length === 0) continue
      process.stdout.write(
        args.has('json') ? `${JSON.stringify(found)}\n` : found.map(entry => `${JSON.stringify(entry)}\n`).join(''),
      )
      return 0
    }
    process.stderr.write(
      `millrace: ${operator} keeps ${text === undefined ? 'no broadcast state' : `nothing for the key ${text}`}\n`,
    )
    return 1
  },
}

type Look = (query: StateQuery) => Promise<FoundState[]>

async function lookIntoDirectory(directory: string): Promise<Look> {
  checkStateDirectory(directory)
  const { getState } = await import('../embedded/inspect.ts')
  return query => getState(directory, query)
}

async function lookIntoStack(args: Arguments): Promise<Look> {
  const { stack } = await openStack(args)
  const { stateOf } = await import('../inspect/state.ts')
  return query => withRun(stack, (ports, meta) => stateOf(ports, meta, query))
}

/** What a word on the command line may mean as a key, likeliest first. */
export function keysOf(text: string): Key[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return [text]
  }
  if (typeof parsed === 'string') return [parsed]
  if (typeof parsed === 'number' || isTuple(parsed)) return [parsed, text]
  return [text]
}

function isTuple(value: unknown): value is (string | number)[] {
  return Array.isArray(value) && value.every(part => typeof part === 'string' || typeof part === 'number')
}
