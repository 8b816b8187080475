import { resolve } from 'node:path'
import { ConnectorError, fileReason } from './error.ts'
import type { GatheredLines } from './json-buffer.ts'
import type { Sink, SinkWriter } from './sink.ts'
import type { Staging } from './staging.ts'
import type { StagedState, StagingWriter } from './staging-writer.ts'

/**
 * Writes NDJSON to `path`, exactly once: lines are staged beside the target and appended to it when the checkpoint that they belong to is complete,
 * so a reader never sees a line that a restart would take back.
 *
 * - A new run replaces what an earlier one left at `path`, at its first complete checkpoint; a resumed run goes on behind what it had committed, and
 *   refuses to if the file has become shorter since.
 * - A run that starts from a snapshot goes on behind what that had committed, if the target is there: later lines are cut off. Else it starts a new file.
 * - Lines are in order of checkpoint, then of subtask; of one subtask, in the order written. Give the sink parallelism 1 for one total order.
 * - Parent directories are made. While it runs, `DIR/.NAME.millrace/` holds what is staged; nothing but the target stays behind.
 * - It survives the end of the process at any moment. Staged lines are forced to disk at each cut, the target at each commit.
 *
 * Throws ConnectorError when a value isn't JSON (a bigint, a cycle), when the disk refuses, or when files were changed by somebody else.
 *
 * @example
 * rankings.sink('rankings', fileSink('out/rankings.ndjson'))
 */
export function fileSink(path: string): Sink<any> {
  if (typeof path !== 'string' || path === '')
    throw new ConnectorError("fileSink has no path: write fileSink('out/results.ndjson')")
  if (/\.gz$/i.test(path))
    throw new ConnectorError(
      `fileSink('${path}') would have to compress, and it can't: write to ${path.slice(0, -3)} and compress that`,
    )
  let loaded: Promise<Staging> | undefined
  // A function on AWS has no use for it.
  const opened = () => (loaded ??= import('./staging.ts').then(({ Staging }) => new Staging(resolve(path), path)))
  const where = `the file sink ${path}`
  return {
    kind: 'file',
    file: path,
    async open(context, state) {
      const { StagingWriter } = await import('./staging-writer.ts')
      const { gatherLines } = await import('./json-buffer.ts')
      const staging = await opened()
      staging.claim(context.run, context.operatorId)
      const writer = new StagingWriter(staging, context.run, context.subtask)
      await named(where, () => writer.restore(state as StagedState | undefined))
      return lineWriter(writer, gatherLines(where), where)
    },
    async commit(run, _checkpoint, parts) {
      const staging = await opened()
      await named(where, () => staging.commit(run, parts as readonly (StagedState | undefined)[]))
    },
    async restore(run, _checkpoint, parts, context) {
      const staging = await opened()
      return named(where, () => staging.restore(run, parts as readonly (StagedState | undefined)[], context))
    },
    // Its segments come behind theirs.
    succeed: (states): StagedState => ({
      segment: Math.max(...states.map(s => Number(s.segment))),
      length: 0,
      total: 0,
      closed: 1,
    }),
    describe: () => `file ${path}`,
  }
}

function lineWriter(staged: StagingWriter, lines: GatheredLines, where: string): SinkWriter<any> {
  return {
    write: value => lines.write(value),
    async flush(commit, cut) {
      const bytes = lines.take()
      return named(where, () => staged.append(commit.version, bytes, cut?.checkpoint))
    },
    close: () => staged.close(),
  }
}

async function named<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ConnectorError) throw error
    throw new ConnectorError(`${where} failed: ${fileReason(error)}`, { cause: error })
  }
}
