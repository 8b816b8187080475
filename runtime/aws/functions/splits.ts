import type { SourceStreams } from './environment.ts'
import { partitionName } from './kafka-event.ts'
import type { SourceSetting } from './settings.ts'

/** The splits of a source, in order: subtask i of its stage reads the i-th. */
export async function splitsOf(
  setting: SourceSetting,
  { listShards }: Pick<SourceStreams, 'listShards'>,
): Promise<readonly string[]> {
  switch (setting.kind) {
    case 'kinesis':
      return (await listShards(setting.stream)).map(({ id }) => id)
    case 'kafka':
      return Array.from({ length: setting.partitions }, (_, i) => partitionName(setting.topic, i))
    case 'dynamodb':
      return Array.from({ length: setting.subtasks }, (_, i) => `changes-${i}`)
    case 's3':
      return Array.from({ length: setting.subtasks }, (_, i) => objectSplit(i))
  }
}

export function objectSplit(subtask: number): string {
  return `objects-${subtask}`
}
