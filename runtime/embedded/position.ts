import { PortArgumentError } from './errors.ts'

/** Holds 2^53. */
const DIGITS = 16

/** Sequences of a shard start at 1. */
export function formatPosition(sequence: number): string {
  return String(sequence).padStart(DIGITS, '0')
}

export function parsePosition(position: string): number {
  const sequence = Number(position)
  if (position.length !== DIGITS || !Number.isSafeInteger(sequence))
    throw new PortArgumentError(`not a position of this stream: '${position}'`)
  return sequence
}
