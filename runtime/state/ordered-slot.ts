import type { KeyPart } from '../graph/key.ts'
import { MapSlot } from './entry.ts'

/** A map state whose subkeys are numbers, few at a time, which mostly come and go in their order: that lies in two lists. Its entries come in the order of their numbers. */
export class OrderedSlot extends MapSlot {
  readonly numbers: number[] = []
  /** What is stored under each. */
  readonly values: unknown[] = []

  override get size(): number {
    return this.numbers.length
  }

  override has(key: KeyPart): boolean {
    return this.find(key as number) >= 0
  }

  override get(key: KeyPart): unknown {
    const i = this.find(key as number)
    return i < 0 ? undefined : this.values[i]
  }

  override set(key: KeyPart, value: unknown): void {
    const { numbers, values } = this
    const number = key as number
    let i = numbers.length
    while (i > 0 && numbers[i - 1]! > number) i--
    if (i > 0 && numbers[i - 1] === number) values[i - 1] = value
    else if (i === numbers.length) {
      numbers.push(number)
      values.push(value)
    } else {
      numbers.splice(i, 0, number)
      values.splice(i, 0, value)
    }
  }

  override delete(key: KeyPart): void {
    const i = this.find(key as number)
    if (i < 0) return
    this.numbers.splice(i, 1)
    this.values.splice(i, 1)
  }

  override forEach(visit: (value: unknown, key: KeyPart) => void): void {
    for (let i = 0; i < this.numbers.length; i++) visit(this.values[i], this.numbers[i]!)
  }

  override [Symbol.iterator](): Iterator<[KeyPart, unknown]> & Iterable<[KeyPart, unknown]> {
    return this.numbers.map((number, i): [KeyPart, unknown] => [number, this.values[i]])[Symbol.iterator]()
  }

  /** Mostly the newest is asked for. */
  private find(number: number): number {
    const { numbers } = this
    let i = numbers.length - 1
    while (i >= 0 && numbers[i]! > number) i--
    return i >= 0 && numbers[i] === number ? i : -1
  }
}
