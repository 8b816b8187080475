/** A shard of a source's stream. */
export interface SourceShard {
  /** Kinesis numbers shards in the order in which they come, and never uses a number again. */
  readonly index: number
  readonly parents: readonly number[]
  /** From when it is there, and takes records. */
  readonly from: number
  /** From when its children take them: it is closed. Infinity: open. */
  until: number
}

/** The shards that a stream has had: they are split and merged, and closed ones are listed on. */
export interface Lineage {
  readonly shards: readonly SourceShard[]
  /** Closes some, and opens `count` others in their place. */
  replace(parents: readonly SourceShard[], count: number, now: number): readonly SourceShard[]
  /** Called for each that is opened. */
  onShard: ((shard: SourceShard) => void) | undefined
  copy(): Lineage
}

export function openLineage(shards: SourceShard[]): Lineage {
  const lineage: Lineage = {
    shards,
    onShard: undefined,
    replace(parents, count, now) {
      for (const parent of parents) parent.until = now
      const indexes = parents.map(({ index }) => index)
      const children = Array.from({ length: count }, (_, i) => newShard(shards.length + i, indexes, now))
      shards.push(...children)
      for (const child of children) lineage.onShard?.(child)
      return children
    },
    copy: () => openLineage(shards.map(shard => ({ ...shard }))),
  }
  return lineage
}

/** By default one that was there from the beginning. */
export function newShard(index: number, parents: readonly number[] = [], from = Number.NEGATIVE_INFINITY): SourceShard {
  return { index, parents, from, until: Number.POSITIVE_INFINITY }
}
