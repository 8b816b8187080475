import type { Blobs } from '../ports.ts'
import { BlobStaging, type StagedName } from './blob-staging.ts'
import { ConnectorError, reasonOf } from './error.ts'
import { jsonLine } from './json-line.ts'
import type { Sink, SinkState, SinkWriter } from './sink.ts'

/** Text gathered before it becomes bytes: bounds the strings, not the commit. */
const TEXT_CHARS = 1 << 20

/** How far one subtask has staged, as its commit item keeps it. */
type State = { readonly last: StagedName }

/**
 * NDJSON objects below `name`, exactly once: what each commit writes is staged under a name that says what was staged before it, and becomes visible
 * with the checkpoint, as `<name>/run=<run>/checkpoint-<n>-subtask-<i>.ndjson`; a subtask that wrote nothing since the last one has none. The objects of one
 * checkpoint appear one after the other, each of them whole.
 *
 * A run that starts from a checkpoint of another one writes below its own `run=`, and takes the other's later objects away.
 *
 * `place`: for people and errors.
 */
export function blobSink(blobs: Blobs, name: string, place: string): Sink<any> {
  const where = `the S3 sink ${place}`
  const staging = new BlobStaging(blobs, name, where)
  let writer: { readonly run: string; readonly operatorId: string } | undefined
  return {
    kind: 's3',
    async open({ run, operatorId, subtask }, state) {
      if (writer?.run === run && writer.operatorId !== operatorId)
        throw new ConnectorError(
          `${where} is written by two sinks, '${writer.operatorId}' and '${operatorId}': give each a name of its own`,
        )
      writer = { run, operatorId }
      return lineWriter(staging, run, subtask, (state as State | undefined)?.last ?? '', where)
    },
    commit: (run, checkpoint, parts) => told(where, () => staging.commit(run, checkpoint, lasts(parts))),
    restore: (run, checkpoint, parts) =>
      told(where, async () => {
        await staging.endAt(run, checkpoint, lasts(parts))
        return parts.map(() => undefined)
      }),
    describe: () => place,
  }
}

function lasts(parts: readonly (SinkState | undefined)[]): StagedName[] {
  return parts.map(part => String(part?.last ?? ''))
}

function lineWriter(staging: BlobStaging, run: string, subtask: number, committed: StagedName, where: string): SinkWriter<any> {
  let text = ''
  let chunks: Buffer[] = []
  let last = committed
  // As it was before the last flush: a commit that is tried again builds on that.
  let before = { version: 0, last }
  return {
    write(value) {
      text += jsonLine(value, where)
      if (text.length < TEXT_CHARS) return
      chunks.push(Buffer.from(text))
      text = ''
    },
    async flush({ version, attempt }): Promise<State> {
      const bytes = Buffer.concat([...chunks, Buffer.from(text)])
      text = ''
      chunks = []
      if (before.version === version) last = before.last
      before = { version, last }
      if (bytes.length > 0)
        await told(where, async () => {
          last = await staging.stage(run, subtask, version, attempt, last, bytes)
        })
      return { last }
    },
    async close() {},
  }
}

/** Errors of the service say what it is about, and whether another try may help. */
async function told<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error && 'retryable' in error) throw error
    throw new ConnectorError(`${where} failed: ${reasonOf(error)}`, { cause: error })
  }
}
