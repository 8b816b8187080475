import type { Pipeline } from '../api/pipeline.ts'
import type { Dice } from './random.ts'

/** What a scenario's user code asks of the simulation. */
export interface UserCode {
  /** Throws now and then, but not so often for one `id` that its record would be given up. */
  maySurprise(id: number | string): void
  /** In [0, 1): another one in each attempt. */
  random(): number
  /** It was given what it can never be given, whatever becomes of the attempt: the run fails here. */
  broken(what: string): void
  /** Virtual time. */
  sleep(ms: number): Promise<void>
}

/** Lines by source and shard. */
export type Input = Readonly<Record<string, readonly (readonly string[])[]>>
/** Of each sink, in the order of its objects. */
export type Rows = Readonly<Record<string, readonly any[]>>

/** A pipeline with its input, to be simulated. */
export interface Scenario {
  readonly name: string
  /** Shards of each source's stream. */
  readonly shards: number
  readonly parallelism: number
  /** How many inputs there are, each of which many seeds share. Infinity: each seed has its own. */
  readonly variants: number
  /** Nothing depends on what is late: shards of the sources may be merged with one another. */
  readonly mayMix?: boolean
  /** Parts of the input that come early, and whose last line comes with the last ones of the others, behind all else: in between their shards may be merged with any, however far ahead in event time they are. */
  readonly early?: readonly number[]
  app(user: UserCode, variant: number): Pipeline
  /** What comes out must not depend on how shards interleave. */
  input(dice: Dice): Input
  /** What of the rows is the same in any run; default: all. */
  same?(rows: Rows): Rows
  /** What the rows have to be like by themselves, and the dead letters. @throws */
  check?(rows: Rows, input: Input, letters: readonly any[]): void
}
