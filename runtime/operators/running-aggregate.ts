import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { type AggregateFunction, foldOf } from '../windows/aggregate.ts'
import { adds, type Change, sendChange } from './change.ts'
import { KeyedOperator } from './keyed-operator.ts'
import { userError } from './user-code.ts'

export const RUNNING_AGGREGATE_STATES: readonly StateDeclaration[] = [{ name: 'aggregate', primitive: 'value' }]

/** What is kept of a key. */
interface Group {
  acc: any
  /** As it was sent, so that it can be taken back even if the functions would make it otherwise today. */
  row: any
  /** How many rows are in; 0: the group is gone. */
  rows: number
}

export interface RunningAggregateOptions {
  readonly aggregate: AggregateFunction<any, any, any> & { retract?(acc: any, value: any): any }
  /** The row of a key, from the aggregate's result. */
  readonly apply: (result: any, key: KeyEntry['key']) => any
  /** The input is changes of a table, not records: what is deleted or replaced is taken back by `retract`. */
  readonly changes: boolean
}

/** A running aggregate of a keyed stream or table: the row of a key changes with each record. A group without rows has no row. */
export class RunningAggregateOperator extends KeyedOperator {
  private readonly options: RunningAggregateOptions
  private readonly fold: NonNullable<ReturnType<typeof foldOf>>

  constructor(options: RunningAggregateOptions) {
    super()
    this.options = options
    this.fold = foldOf({ aggregate: options.aggregate })!
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number): void {
    const group: Group = this.state.value(entry, 0, 0) ?? { acc: undefined, row: undefined, rows: 0 }
    const before = group.row
    try {
      if (!this.options.changes) this.add(group, value)
      else if (adds((value as Change<any>).kind)) this.add(group, value.row)
      else this.retract(group, value.row)
      group.row = group.rows === 0 ? undefined : this.options.apply(this.fold.result(group.acc), entry.key)
    } catch (error) {
      throw userError(this.ctx, timestamp, 'the aggregate', error)
    }
    this.state.setValue(entry, 0, group.rows === 0 ? undefined : group, 0)
    sendChange(this.ctx.output, before, group.row, timestamp, entry.key)
  }

  private add(group: Group, value: any): void {
    group.acc = this.fold.add(group.acc, value)
    group.rows++
  }

  private retract(group: Group, value: any): void {
    if (group.rows === 0) throw new Error('a row was taken back that was never there')
    group.acc = this.options.aggregate.retract!(group.acc, value)
    group.rows--
  }
}
