import { stageStreams } from '../../aws/names.ts'
import { awsPorts } from '../../aws/ports.ts'
import type { SnapshotStore } from '../../embedded/run-options.ts'
import { awsControl } from './control.ts'
import { findStack } from './stack.ts'

/** The checkpoints of a stack, `NAME` or, of one with several pipelines, `NAME/PIPELINE`. @throws UsageError when there is none */
export async function stackSnapshots(name: string): Promise<SnapshotStore> {
  const [stack, pipeline] = name.split('/') as [string, string | undefined]
  const { prefix, tables, bucket } = await findStack(awsControl(), stack, pipeline)
  return {
    name: `the stack ${stack}`,
    async open() {
      const { log, blobs, close } = awsPorts({ streams: stageStreams(prefix), tables, bucket, prefix: '' })
      return { log, blobs, close: async () => close() }
    },
  }
}
