import type { Pipeline } from '../api/pipeline.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { suggest } from '../suggest.ts'
import { TestKitError } from './error.ts'
import type { TestFault } from './faults.ts'

/** What the pipeline declares. @throws TestKitError when it is none */
export function graphOf(app: Pipeline): LogicalGraph {
  if (typeof app?.graph === 'function') return app.graph()
  throw new TestKitError(`a pipeline is needed, as pipeline('name') makes it, not ${kindOf(app)}`)
}

/** An option that nobody reads would be left out in silence. `known`: as the compiler holds them to their type. @throws TestKitError */
export function onlyOptions(of: string, options: object, known: Readonly<Record<string, true>>): void {
  const names = Object.keys(known)
  for (const name of Object.keys(options ?? {}))
    if (!names.includes(name)) throw new TestKitError(`${of} has no option '${name}'${suggest(name, names)}`)
}

/** @throws TestKitError */
export function wholeNumber(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new TestKitError(`${name} is ${kindOf(value)}: it is a whole number of at least ${least}`)
}

const KINDS: readonly string[] = ['always redeliver', 'zombies', 'crash', 'throttle'] satisfies TestFault['kind'][]

/** A fault that is switched on in vain would show what it does not. @throws TestKitError */
export function checkFaults(faults: readonly TestFault[]): readonly TestFault[] {
  if (!Array.isArray(faults)) throw new TestKitError(`faults is a list, such as [alwaysRedeliver], not ${kindOf(faults)}`)
  for (const fault of faults)
    if (!KINDS.includes(fault?.kind))
      throw new TestKitError(
        `${kindOf(fault)} is no fault: there are alwaysRedeliver, zombies, crashAfter('send') and throttle(0.2), each an argument of its own`,
      )
  return faults
}

/** @throws TestKitError */
export function recordsOf(source: string, records: readonly unknown[]): void {
  if (!Array.isArray(records)) throw new TestKitError(`'${source}' is to be given an array of records, not ${kindOf(records)}`)
}

/** A record as its source's stream has it; undefined: that is no JSON. @throws TestKitError for a BigInt, or a cycle */
export function jsonOf(record: unknown, source: string): string | undefined {
  try {
    return JSON.stringify(record)
  } catch (error) {
    throw new TestKitError(`'${source}' was given a record that is no JSON: ${(error as Error).message}`, { cause: error })
  }
}

/** What a message calls a value that is not what it should be. */
export function kindOf(value: unknown): string {
  if (typeof (value as PromiseLike<unknown> | undefined)?.then === 'function') return 'a promise (of a call without await?)'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return `the function ${value.name || 'without a name'}`
  return typeof value === 'object' && value !== null
    ? `an object with ${Object.keys(value).join(', ') || 'nothing in it'}`
    : String(value)
}
