/** What the threads of a run look at all the time: in memory that they share, as a message would lie behind others. */
export interface Flags {
  readonly stopping: boolean
  readonly ended: boolean
  readonly congested: boolean
  readonly keepPace: boolean
}

const NAMES = ['stopping', 'ended', 'congested', 'keepPace'] as const

export type FlagMemory = SharedArrayBuffer

export function flagMemory(): FlagMemory {
  return new SharedArrayBuffer(NAMES.length * Int32Array.BYTES_PER_ELEMENT)
}

export function writeFlags(memory: FlagMemory, flags: Flags): void {
  const cells = new Int32Array(memory)
  NAMES.forEach((name, i) => {
    Atomics.store(cells, i, flags[name] ? 1 : 0)
  })
}

export function readFlags(memory: FlagMemory): Flags {
  const cells = new Int32Array(memory)
  const flag = (name: (typeof NAMES)[number]) => Atomics.load(cells, NAMES.indexOf(name)) === 1
  return {
    get stopping() {
      return flag('stopping')
    },
    get ended() {
      return flag('ended')
    },
    get congested() {
      return flag('congested')
    },
    get keepPace() {
      return flag('keepPace')
    },
  }
}
