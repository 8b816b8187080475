import { describe, syncFunction } from './check.ts'
import { PipelineError } from './error.ts'

/** Fields to order by, the first decides; `-` before a name for descending order. Or a comparator, as for Array.sort. */
export type OrderBy<T> = readonly OrderField<T>[] | ((a: T, b: T) => number)

type Comparable<T> = { [N in keyof T]-?: T[N] extends string | number ? N : never }[keyof T] & string
type OrderField<T> = Comparable<T> | `-${Comparable<T>}`

/** The comparator. Numbers by size, strings by code unit. */
export function ordering<T>(by: unknown, operator: string): (a: T, b: T) => number {
  const remedy = "Write { by: ['-views', 'item_id'] } or { by: (a, b) => b.views - a.views }"
  if (typeof by === 'function') {
    syncFunction(by, operator, remedy)
    return (a, b) => {
      const order: unknown = by(a, b)
      if (typeof order === 'number' && !Number.isNaN(order)) return order
      throw new TypeError(`it gave ${String(order)}; it has to give a number: below 0, 0 or above 0`)
    }
  }
  if (!Array.isArray(by) || by.length === 0 || by.some(field => typeof field !== 'string' || field.replace(/^-/, '') === '')) {
    throw new PipelineError(operator, `it was told to order by ${describe(by)}`, remedy)
  }
  const fields = by.map((field: string) => (field[0] === '-' ? { name: field.slice(1), sign: -1 } : { name: field, sign: 1 }))
  return (a: any, b: any) => {
    for (let i = 0; i < fields.length; i++) {
      const { name, sign } = fields[i]!
      if (a[name] < b[name]) return -sign
      if (a[name] > b[name]) return sign
    }
    return 0
  }
}
