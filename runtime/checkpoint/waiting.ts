import type { KeyPart } from '../graph/key.ts'
import { type Change, forEachChange } from '../state/changelog.ts'
import { SUBENTRY_BYTES, valueBytes } from '../state/eviction.ts'
import type { FoldSpace } from './fold.ts'

/** Of a key that was written, with its first entry, beside the value: no change takes more. */
export const CHANGE_BYTES = 640

/** Bytes of the values of one state of one key, by subkey; of a value state one, without. */
type Slot = Map<KeyPart | undefined, number>

/**
 * How much of a function's memory waits for a fold: about how many bytes the entries take that these changes have written, each once, however often it was. What was deleted counts, as a cold
 * function that replays the changes has to know it, since the base may still have it (E2). Timers do not: they are in memory in any case. More than `max` is not counted, nor held.
 */
export async function waitingBytes(
  { operators }: Pick<FoldSpace, 'operators'>,
  chunks: AsyncIterable<Uint8Array>,
  max: number,
): Promise<number> {
  const keys = operators.map(() => new Map<KeyPart, Slot[]>())
  let waiting = 0
  const add = ({ operator, state, key, written, value }: Change) => {
    if (typeof state === 'string' || waiting > max) return
    let slots = keys[operator]!.get(key)
    if (slots === undefined) {
      slots = []
      keys[operator]!.set(key, slots)
      waiting += CHANGE_BYTES - SUBENTRY_BYTES
    }
    const isMap = operators[operator]!.states[state]!.primitive === 'map'
    slots[state] ??= new Map()
    const subkey = isMap ? value.k : undefined
    const before = slots[state].get(subkey)
    const bytes = valueBytes(written ? (isMap ? value.v : value) : undefined, isMap ? 2 : 3)
    slots[state].set(subkey, bytes)
    waiting += bytes + (before === undefined ? SUBENTRY_BYTES : -before)
  }
  for await (const chunk of chunks) {
    forEachChange(chunk, add)
    if (waiting > max) break
  }
  return waiting
}
