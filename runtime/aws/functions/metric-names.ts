/** All that functions tell CloudWatch, and in what unit (docs/aws.md, Metrics). Each of a stage is billed by the hour in which there is some of it. */
export const UNITS = {
  RecordsIn: 'Count',
  RecordsOut: 'Count',
  CommitDuration: 'Milliseconds',
  StateBytes: 'Bytes',
  WatermarkLag: 'Milliseconds',
  LateRecords: 'Count',
  DeadLetters: 'Count',
  Replays: 'Count',
  LostRaces: 'Count',
  Aborts: 'Count',
  CheckpointDuration: 'Milliseconds',
  CheckpointBytes: 'Bytes',
  CheckpointsFailed: 'Count',
} as const
export type MetricName = keyof typeof UNITS

export const NAMESPACE = 'Millrace'
