import { Packr } from 'msgpackr'

/** One codec for everything small that is stored: commit items, base values, manifests. Each packed buffer stands alone. */
const packr = new Packr({ structuredClone: true, moreTypes: true, useRecords: true })

/** Dates, Maps, Sets, bigints, typed arrays, -0, NaN and undefined survive. The buffer is the caller's own. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value)
}

export function unpack<T>(bytes: Uint8Array): T {
  return packr.unpack(bytes) as T
}
