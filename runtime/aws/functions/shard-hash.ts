import { createHash } from 'node:crypto'

/** Of shards that nothing else ties to a subtask, to a fixed number of subtasks. */
export function subtaskOfShard(shardId: string, subtasks: number): number {
  return createHash('sha256').update(shardId).digest().readUInt32BE() % subtasks
}
