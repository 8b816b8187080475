import type { SinkOperator } from '../operators/sink.ts'
import type { Chain } from '../stage/chain.ts'

/** Records that a subtask has written and committed in this process, by name of the sink. Its operators are opened anew when an attempt fails, and count what that one wrote too. */
export class Written {
  private readonly records = new Map<string, number>()
  private readonly counted = new WeakMap<SinkOperator, number>()

  /** Behind a commit, of which `sinks` are the operators. */
  commit(sinks: Chain['sinks']): void {
    for (const { node, operator } of sinks) {
      const name = node.sink!.name
      this.records.set(name, (this.records.get(name) ?? 0) + operator.total - (this.counted.get(operator) ?? 0))
      this.counted.set(operator, operator.total)
    }
  }

  of(sink: string): number {
    return this.records.get(sink) ?? 0
  }
}
