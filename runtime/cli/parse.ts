import { parseArgs } from 'node:util'
import { suggest } from '../suggest.ts'
import { type Arguments, COMMON_FLAGS, type Command, type Flag } from './command.ts'
import { UsageError } from './error.ts'

/** Checks the words behind a command's name against its definition. Throws UsageError. */
export function parseArguments(command: Command, words: readonly string[]): Arguments {
  const flags = { ...command.flags, ...COMMON_FLAGS }
  const { tokens, values, positionals } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(flags).map(([name, flag]) => [
        name,
        {
          type: flag.value === undefined ? 'boolean' : 'string',
          multiple: flag.repeats ?? false,
          ...(flag.short && { short: flag.short }),
        } as const,
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    checkFlag(command, flags, token.name, token.rawName, token.value)
    if (seen.has(token.name) && flags[token.name]!.value !== undefined && !flags[token.name]!.repeats)
      throw new UsageError(`${token.rawName} is given twice`)
    seen.add(token.name)
  }
  if (!seen.has('help')) checkPositionals(command, positionals, seen)
  return {
    positionals,
    text: flag => values[flag] as string | undefined,
    texts: flag => (values[flag] ?? []) as string[],
    has: flag => values[flag] === true,
  }
}

function checkFlag(
  command: Command,
  flags: Readonly<Record<string, Flag>>,
  name: string,
  typed: string,
  value: string | undefined,
): void {
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
  if (flag === undefined) {
    const known = Object.keys(flags).map(known => `--${known}`)
    throw new UsageError(`millrace ${command.name} has no flag ${typed}${suggest(typed, known)}`)
  }
  if (flag.value === undefined && value !== undefined) throw new UsageError(`${typed} takes no value, but was given '${value}'`)
  // `--state --json` is a forgotten value, not a directory called --json.
  if (flag.value !== undefined && (value === undefined || value === '' || /^--?[a-z]/.test(value)))
    throw new UsageError(`${typed} needs a value: ${typed} ${flag.value}`)
}

function checkPositionals(command: Command, given: readonly string[], flags: ReadonlySet<string>): void {
  const { name } = command
  const positionals = command.positionals.filter(({ unless }) => unless === undefined || !flags.has(unless))
  if (given.length < positionals.length) {
    const missing = positionals[given.length]!
    const instead = command.positionals
      .filter(({ unless }) => unless !== undefined && !flags.has(unless))
      .map(
        ({ unless, name }) =>
          `, or ${[`--${unless}`, command.flags[unless!]!.value].filter(Boolean).join(' ')} in the place of ${name}`,
      )
    const hint = instead.join('')
    throw new UsageError(
      `millrace ${name} needs ${missing.name}, ${missing.help}${hint}: millrace ${name} ${positionals.map(p => p.name).join(' ')}`,
    )
  }
  if (given.length > positionals.length) {
    const extra = given[positionals.length]!
    const hint =
      extra.includes('=') || 'source' in command.flags ? ' (several files of one source: repeat --source NAME=PATH)' : ''
    throw new UsageError(`millrace ${name} doesn't know what to do with '${extra}'${hint}`)
  }
}

/** A whole number from 1 on. */
export function positiveInteger(args: Arguments, flag: string, max = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = args.text(flag)
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > max)
    throw new UsageError(
      `--${flag} ${text}: a whole number ${max === Number.MAX_SAFE_INTEGER ? 'above 0' : `from 1 to ${max}`} is needed`,
    )
  return value
}
