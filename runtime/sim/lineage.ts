/** Hash keys that a shard takes, both ends with it. */
export interface HashKeys {
  readonly first: bigint
  readonly last: bigint
}

/** A shard of a stream that is split and merged. */
export interface StreamShard {
  /** Kinesis numbers shards in the order in which they come, and never uses a number again. */
  readonly index: number
  readonly parents: readonly number[]
  /** Of streams between stages, which are addressed by them. */
  readonly keys: HashKeys
  /** From when it is there, and takes records. */
  readonly from: number
  /** From when its children take them: it is closed. Infinity: open. */
  until: number
}

/** The shards that a stream has had: they are split and merged, and closed ones are listed on. */
export interface Lineage {
  readonly shards: readonly StreamShard[]
  /** Closes some, and opens others in their place. */
  replace(parents: readonly StreamShard[], children: readonly HashKeys[], now: number): readonly StreamShard[]
  /** Called for each that is opened. */
  onShard: ((shard: StreamShard) => void) | undefined
  copy(): Lineage
}

export function openLineage(shards: StreamShard[]): Lineage {
  const lineage: Lineage = {
    shards,
    onShard: undefined,
    replace(parents, ranges, now) {
      for (const parent of parents) parent.until = now
      const indexes = parents.map(({ index }) => index)
      const children = ranges.map((keys, i) => newShard(shards.length + i, keys, indexes, now))
      shards.push(...children)
      for (const child of children) lineage.onShard?.(child)
      return children
    },
    copy: () => openLineage(shards.map(shard => ({ ...shard }))),
  }
  return lineage
}

/** By default one that was there from the beginning. */
export function newShard(
  index: number,
  keys: HashKeys,
  parents: readonly number[] = [],
  from = Number.NEGATIVE_INFINITY,
): StreamShard {
  return { index, keys, parents, from, until: Number.POSITIVE_INFINITY }
}

const ALL_KEYS = 1n << 128n

/** Shards that were there from the beginning, of as many hash keys each. */
export function evenShards(count: number): StreamShard[] {
  const at = (i: number) => (BigInt(i) * ALL_KEYS) / BigInt(count)
  return Array.from({ length: count }, (_, i) => newShard(i, { first: at(i), last: at(i + 1) - 1n }))
}

/** The two parts of a range, `at` of it from its beginning. */
export function halves({ first, last }: HashKeys, at: number): readonly [HashKeys, HashKeys] {
  const middle = first + ((last - first) * BigInt(Math.floor(at * PARTS))) / BigInt(PARTS)
  return [
    { first, last: middle },
    { first: middle + 1n, last },
  ]
}

const PARTS = 1_000_000
