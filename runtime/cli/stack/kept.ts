import type { Stack, StackStage } from './stack.ts'

/** By what a source reads: how long what arrives waits. Of Kinesis and Kafka it is a setting that the stack does not know. */
const KEPT: Readonly<Record<StackStage['reads'], string>> = {
  kinesis: '24 hours, unless its stream was set to keep more',
  dynamodb: '24 hours',
  s3: '14 days',
  kafka: 'as long as its topic does',
}

/** How long a pipeline may be stopped, in one line. `isWhole`: with a checkpoint, so that nothing is on its way between stages. */
export function keptWhileStopped({ stages }: Pick<Stack, 'stages'>, isWhole: boolean): string {
  const kept = Object.entries(stages).flatMap(([id, { cut, reads }]) => (cut === undefined ? [] : [`${id} ${KEPT[reads]}`]))
  if (!isWhole) kept.push('between stages 24 hours')
  return `records wait, and stopped for longer it loses some: ${kept.join('; ')}`
}
