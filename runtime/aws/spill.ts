import { createHash } from 'node:crypto'
import type { Address, Blobs, Random } from '../ports.ts'

/** Where values lie that are too large for an item. Names are never used twice, so that whoever holds one reads what it was made for, or nothing. */
export interface Spill {
  put(address: Address, v: number, value: Uint8Array): Promise<string>
  get(object: string): Promise<Uint8Array | undefined>
  delete(object: string): Promise<void>
}

/** Addresses are longer than keys of objects may be. */
const HASH_LENGTH = 32

export function spill(blobs: Blobs, random: Random): Spill {
  return {
    async put({ pk, sk }, v, value) {
      const hash = createHash('sha256')
        .update(JSON.stringify([pk, sk]))
        .digest('hex')
        .slice(0, HASH_LENGTH)
      const object = `${hash}/${v}-${random.id()}`
      await blobs.put(object, value)
      return object
    },
    get: object => blobs.get(object),
    delete: object => blobs.delete(object),
  }
}
