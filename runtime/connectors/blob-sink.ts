import type { Blobs } from '../ports.ts'
import { BlobStaging } from './blob-staging.ts'
import { ConnectorError, failingAs } from './error.ts'
import type { GatheredLines } from './json-buffer.ts'
import type { Sink, SinkState, SinkWriter } from './sink.ts'
import type { StagedName } from './staged-chain.ts'

/** How far one subtask has staged, as its commit item keeps it. */
type State = { readonly last: StagedName }

/**
 * NDJSON objects below `name`, exactly once: what each commit writes is staged under a name that says what was staged before it, and becomes visible
 * with the checkpoint, as `<name>/run=<run>/checkpoint-<n>-subtask-<i>.ndjson`; a subtask that wrote nothing since the last one has none. The objects of one
 * checkpoint appear one after the other, each of them whole. What lies before the cut of a checkpoint that failed becomes visible with the next one, under its own number.
 *
 * A run that starts from a checkpoint of another one writes below its own `run=`, and takes the other's later objects away, unless it is a fork.
 *
 * `place`: for people and errors.
 */
export function blobSink(blobs: Blobs, name: string, place: string): Sink<any> {
  const where = `the S3 sink ${place}`
  const staging = new BlobStaging(blobs, name, where)
  let writer: { readonly run: string; readonly operatorId: string } | undefined
  return {
    kind: 's3',
    async open({ run, operatorId }, state) {
      if (writer?.run === run && writer.operatorId !== operatorId)
        throw new ConnectorError(
          `${where} is written by two sinks, '${writer.operatorId}' and '${operatorId}': give each a name of its own`,
        )
      writer = { run, operatorId }
      const { gatherLines } = await import('./json-buffer.ts')
      return lineWriter(staging, state as State | undefined, gatherLines(where), where)
    },
    commit: (run, _checkpoint, parts) => failingAs(where, () => staging.commit(run, lasts(parts))),
    restore: (run, checkpoint, parts, { parallelism, fork }) =>
      failingAs(where, async () => {
        await staging.restore(run, checkpoint, lasts(parts), fork)
        return Array.from({ length: parallelism }, () => undefined)
      }),
    describe: () => place,
  }
}

function lasts(parts: readonly (SinkState | undefined)[]): StagedName[] {
  return parts.map(part => String(part?.last ?? ''))
}

function lineWriter(staging: BlobStaging, committed: State | undefined, lines: GatheredLines, where: string): SinkWriter<any> {
  let last = committed?.last ?? ''
  return {
    write: value => lines.write(value),
    async flush(commit): Promise<State> {
      const bytes = Buffer.concat(lines.take())
      if (bytes.length > 0) last = await failingAs(where, () => staging.stage(commit, last, bytes))
      return { last }
    },
    async close() {},
  }
}
