import { type HashKeys, halves, type Lineage, type StreamShard } from './lineage.ts'
import type { Simulation } from './simulation.ts'

/** Shards of a source's stream that are split and merged while its input comes, and who has which part of that. */
export interface Reshards {
  /** The shard that takes the next line of `part`, behind which `left` more come. */
  shardOf(part: number, left: number): number
}

export interface ReshardOptions {
  readonly lineage: Lineage
  /** Of the input: each goes to one shard at a time, as its keys are its own. */
  readonly parts: number
  /** Parts may come to lie in one shard: nothing depends on what is late there. */
  readonly mayMix: boolean
  /** Of these nothing comes for long when all but their last line has. */
  readonly early: readonly number[]
}

/**
 * By lot, in front of a line. What is split goes on in two shards, one of which may be silent; what is merged in one. In front of each part's last line silent shards are merged with others: they would hold the watermark
 * back for ever.
 */
export function openReshards({ faults, dice, scheduler, trace }: Simulation, options: ReshardOptions): Reshards {
  const { lineage, parts, mayMix, early } = options
  const random = dice.fork('reshards')
  /** Open shards, with the parts that go there. */
  const open = new Map<StreamShard, readonly number[]>(lineage.shards.map((shard, i) => [shard, i < parts ? [i] : []]))
  const waiting = new Set<number>()
  const isSilent = (shard: StreamShard) => open.get(shard)!.every(part => waiting.has(part))
  let hasEnded = false

  function replace(parents: readonly StreamShard[], keys: readonly HashKeys[], children: readonly (readonly number[])[]): void {
    for (const parent of parents) open.delete(parent)
    const shards = lineage.replace(parents, keys, scheduler.now)
    for (const [i, shard] of shards.entries()) open.set(shard, children[i]!)
    trace?.(`source shards ${shards.map(s => s.index).join(' and ')} take over from ${parents.map(p => p.index).join(' and ')}`)
  }

  function split(): void {
    const [shard, had] = random.pick([...open])
    const isLeft = had.map(() => random.chance(0.5))
    replace([shard], halves(shard.keys, 0.5), [had.filter((_, i) => isLeft[i]), had.filter((_, i) => !isLeft[i])])
  }

  /** Whatever its hash keys are: records go where `shardOf` says. */
  function merge(one: StreamShard, other: StreamShard): void {
    replace([one, other], [one.keys], [[...open.get(one)!, ...open.get(other)!]])
  }

  function mergeSome(): void {
    if (open.size < 2) return
    const one = random.pick([...open.keys()])
    const other = random.pick([...open.keys()].filter(shard => shard !== one))
    if (mayMix || isSilent(one) || isSilent(other)) merge(one, other)
  }

  function mergeSilent(): void {
    for (;;) {
      const silent = [...open.keys()].find(shard => open.get(shard)!.length === 0)
      if (silent === undefined || open.size === 1) return
      merge(silent, random.pick([...open.keys()].filter(shard => shard !== silent)))
    }
  }

  return {
    shardOf(part, left) {
      if (!hasEnded && faults.happens('source is resharded')) {
        if (random.chance(0.5)) split()
        else mergeSome()
      }
      if (left === 0) {
        hasEnded = true
        mergeSilent()
      }
      if (left === 1 && early.includes(part)) waiting.add(part)
      return [...open].find(([, had]) => had.includes(part))![0].index
    },
  }
}
