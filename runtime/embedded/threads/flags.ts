import type { Shared } from '../loops.ts'

const NAMES = ['stopping', 'ended', 'congested', 'keepPace'] as const

/** What the threads of a run look at all the time: in memory that they share, as a message would lie behind others. */
export type Flags = Pick<Shared, (typeof NAMES)[number]>

export type FlagMemory = SharedArrayBuffer

export function flagMemory(): FlagMemory {
  return new SharedArrayBuffer(NAMES.length * Int32Array.BYTES_PER_ELEMENT)
}

export function writeFlags(memory: FlagMemory, flags: Flags): void {
  const cells = new Int32Array(memory)
  NAMES.forEach((name, i) => {
    Atomics.store(cells, i, flags[name]() ? 1 : 0)
  })
}

export function readFlags(memory: FlagMemory): Flags {
  const cells = new Int32Array(memory)
  return Object.fromEntries(NAMES.map((name, i) => [name, () => Atomics.load(cells, i) === 1])) as unknown as Flags
}
