import type { StateDeclaration } from '../state/declaration.ts'
import type { KeyEntry } from '../state/entry.ts'
import { sendChange } from './change.ts'
import { KeyedOperator } from './keyed-operator.ts'

export const LATEST_STATES: readonly StateDeclaration[] = [{ name: 'latest', primitive: 'value' }]

/** The record of each key with the greatest timestamp; of equal ones, the one that came last. */
export class LatestOperator<T> extends KeyedOperator {
  protected onRecord(entry: KeyEntry, value: T, timestamp: number): void {
    const latest: { at: number; row: T } | undefined = this.state.value(entry, 0, 0)
    if (latest !== undefined && timestamp < latest.at) return
    this.state.setValue(entry, 0, { at: timestamp, row: value }, 0)
    sendChange(this.ctx.output, latest?.row, value, timestamp, entry.key)
  }
}
