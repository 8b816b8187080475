import { COMMON_FLAGS, type Command, type Flag } from './command.ts'

/** `millrace --help` */
export function overview(commands: readonly Command[]): string {
  return `millrace: Apache Flink's model for TypeScript, on serverless AWS or on one machine.

Usage: millrace COMMAND [FLAGS]

Commands:
${tableOf(commands)}

millrace COMMAND --help tells more about one. millrace --version gives the version.
Exit codes: 0 done (or stopped by Ctrl-C, with a last checkpoint), 1 failed while running, 2 wrong arguments, file, pipeline or state directory.
`
}

/** `millrace savepoint --help`: commands that begin with the same word. */
export function groupHelp(word: string, commands: readonly Command[]): string {
  return `Usage: millrace ${word} COMMAND [FLAGS]

Commands:
${tableOf(commands)}

millrace ${word} COMMAND --help tells more about one.
`
}

function tableOf(commands: readonly Command[]): string {
  return table(commands.map(c => [[c.name, ...words(c)].join(' '), c.summary]))
}

/** `millrace COMMAND --help` */
export function commandHelp(command: Command): string {
  const usage = ['millrace', command.name, ...words(command), '[FLAGS]'].join(' ')
  const flags = Object.entries({ ...command.flags, ...COMMON_FLAGS }).map(
    ([name, flag]) => [flagUsage(name, flag), flag.help] as const,
  )
  return `${command.summary}

Usage: ${usage}

${command.description}
${argumentsOf(command)}
Flags:
${table(flags)}

Examples:
${command.examples.map(e => `  ${e}`).join('\n')}
`
}

function words({ positionals }: Command): string[] {
  return positionals.map(({ name, unless }) => (unless === undefined ? name : `[${name}]`))
}

function argumentsOf({ positionals }: Command): string {
  return positionals.length === 0 ? '' : `\nArguments:\n${table(positionals.map(p => [p.name, p.help]))}\n`
}

function flagUsage(name: string, flag: Flag): string {
  return `${flag.short ? `-${flag.short}, ` : ''}--${name}${flag.value ? ` ${flag.value}` : ''}${flag.repeats ? ' ...' : ''}`
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length)) + 3
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`).join('\n')
}
