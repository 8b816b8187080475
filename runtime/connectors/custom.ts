import { MillraceError } from '../errors.ts'
import { describeError } from '../operators/user-code.ts'
import { ConnectorError } from './error.ts'
import type { CommitIdentity, Sink, SinkContext, SinkState } from './sink.ts'

/** One subtask's writer of a custom sink. Everything but `write` may be left out. */
export interface CustomWriter<T> {
  /** Takes one record; buffer it, don't wait here. `timestamp` is its event time, epoch ms; `key` is undefined in a stream without keys. */
  write(value: T, record: { readonly timestamp: number; readonly key: unknown }): void
  /**
   * Sends what was written since the last flush; when it resolves, that has arrived. A commit may fail after it and be tried again: with the same
   * `commit.run`, `operatorId`, `subtask` and `version`, and another `attempt`. So write under those four (an idempotency key, an
   * upsert guarded by the version), and a repetition changes nothing. What it returns is given to `open` when the subtask starts again.
   */
  flush?(commit: CommitIdentity, cut: { readonly checkpoint: number } | undefined): Promise<SinkState | undefined> | Promise<void>
  /** Called at the end of the run, and after a failure: what was not flushed is not to be sent. */
  close?(): Promise<void> | void
}

/**
 * A sink of your own. `open` is called once per subtask, before the first record, with who writes and what its last committed flush returned.
 *
 * @example
 * const hook = customSink<Alert>({
 *   name: 'pager',
 *   open: context => {
 *     let batch: Alert[] = []
 *     return {
 *       write: alert => { batch.push(alert) },
 *       flush: async commit => {
 *         const id = `${commit.run}/${context.operatorId}/${commit.subtask}/${commit.version}`
 *         await fetch(url, { method: 'POST', headers: { 'idempotency-key': id }, body: JSON.stringify(batch) })
 *         batch = []
 *       },
 *     }
 *   },
 * })
 */
export function customSink<T>(definition: {
  /** For the plan and for errors. */
  readonly name: string
  readonly open: (context: SinkContext, state: SinkState | undefined) => CustomWriter<T> | Promise<CustomWriter<T>>
  /** For transactional sinks: makes visible what was staged up to a complete checkpoint. May be called again: idempotent by (run, checkpoint). */
  readonly commit?: Sink<T>['commit']
}): Sink<T> {
  const { name, open, commit } = definition ?? {}
  if (typeof name !== 'string' || name === '')
    throw new ConnectorError("customSink has no name: write customSink({ name: 'pager', open: … })")
  if (typeof open !== 'function')
    throw new ConnectorError(
      `customSink '${name}' has no open: it makes a writer, such as { write(record) { … }, async flush() { … } }`,
    )
  return {
    kind: name,
    async open(context, state) {
      const where = `operator '${context.operatorId}': the sink ${name}`
      const writer = await told(`${where}: open`, async () => definition.open(context, state))
      return {
        write(value, record) {
          try {
            writer.write(value, record)
          } catch (error) {
            throw failure(`${where}: write`, error)
          }
        },
        flush: async (commit, cut) => (await told(`${where}: flush`, async () => writer.flush?.(commit, cut))) ?? undefined,
        close: async () => writer.close?.(),
      }
    },
    ...(commit && { commit: (...cut) => told(`the sink ${name}: commit`, () => commit(...cut)) }),
    describe: () => name,
  }
}

async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw failure(what, error)
  }
}

function failure(what: string, error: unknown): MillraceError {
  return error instanceof MillraceError ? error : new ConnectorError(`${what} threw ${describeError(error)}`, { cause: error })
}
