import type { Change } from './changes.ts'

/** A fault that is planted into the runtime, to see whether the simulator finds it. */
export interface Mutant {
  /** The rule of protocol.md that it leaves out comes first, if it is one. */
  readonly name: string
  readonly changes: readonly Change[]
  /** Where it has something to change: seeds are of this pipeline, and not of all. */
  readonly pipeline?: string
}

/** Mutants of one file: each a text that stands there once, and what stands there instead; more of these may follow. */
export const at =
  (file: string) =>
  (name: string, text: string, by: string, ...more: readonly (readonly [string, string])[]): Mutant => ({
    name,
    changes: [{ file, text, by }, ...more.map(([t, b]) => ({ file, text: t, by: b }))],
  })

/** The same, looked for in the seeds of one pipeline. */
export const within = (pipeline: string, mutant: Mutant): Mutant => ({ ...mutant, pipeline })
