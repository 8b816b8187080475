import type { Clock } from '../../ports.ts'
import type { Subtask } from '../../stage/subtask.ts'
import type { Recorder } from './metrics.ts'

/** What the commit that a subtask has just made tells. How many there are is the number of their durations. */
export function recordCommit(recorder: Recorder, clock: Clock, { log, current }: Subtask): void {
  const { head, lastCommit } = current!
  const { counts, watermark } = head.fields
  const { durationMs, stateBytes, before } = lastCommit!
  recorder.count('RecordsIn', counts.recordsIn - before.recordsIn)
  recorder.count('RecordsOut', counts.recordsOut + counts.results - before.recordsOut - before.results)
  recorder.count('LateRecords', counts.late - before.late)
  recorder.count('DeadLetters', counts.deadLetters - before.deadLetters)
  recorder.count('StateBytes', stateBytes)
  recorder.measure('CommitDuration', durationMs)
  if (Number.isFinite(watermark)) recorder.gauge('WatermarkLag', log, Math.max(0, clock.now() - watermark))
}
