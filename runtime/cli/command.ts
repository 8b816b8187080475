/** One flag of a command. Without `value` it is on or off. */
export interface Flag {
  /** What stands for the value in the help: DIR, NAME=PATH. */
  readonly value?: string
  readonly short?: string
  readonly repeats?: boolean
  readonly help: string
}

export interface Positional {
  readonly name: string
  /** Left out where this flag is given. */
  readonly unless?: string
  readonly help: string
}

/** What was typed, checked against the definition. */
export interface Arguments {
  readonly positionals: readonly string[]
  /** The value of a flag that takes one. */
  text(flag: string): string | undefined
  texts(flag: string): readonly string[]
  has(flag: string): boolean
}

/** A command: parsing, checking and help all come from this. */
export interface Command {
  /** As typed: `run`, `state get`. */
  readonly name: string
  readonly summary: string
  /** Paragraphs below the usage. */
  readonly description: string
  readonly positionals: readonly Positional[]
  readonly flags: Readonly<Record<string, Flag>>
  readonly examples: readonly string[]
  /** Resolves with the exit code. */
  run(args: Arguments): Promise<number>
}

/** Flags of every command. */
export const COMMON_FLAGS: Readonly<Record<string, Flag>> = {
  verbose: { help: 'Show stack traces of errors (as MILLRACE_DEBUG=1 does)' },
  help: { short: 'h', help: 'Show this help' },
}
