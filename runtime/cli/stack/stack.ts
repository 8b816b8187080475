import type { SourceSetting } from '../../aws/functions/settings.ts'
import type { SavepointOrigin } from '../../savepoint/format.ts'
import { list, suggest } from '../../suggest.ts'
import type { Arguments, Flag } from '../command.ts'
import { UsageError } from '../error.ts'
import { awsControl, type BackfillControl, type Control } from './control.ts'

/** A pipeline on AWS, by the outputs of its stack (infra/outputs.ts). */
export interface Stack {
  readonly pipeline: string
  readonly prefix: string
  readonly tables: { readonly log: string; readonly state: string }
  readonly bucket: string
  /** ARN of the state machine that takes checkpoints. */
  readonly checkpoints: string
  /** Name of the schedule that starts it. */
  readonly schedule: string
  /** Name of the function that takes the steps of checkpoints, and has a run start from one. */
  readonly checkpointFunction: string
  /** By stage id. */
  readonly stages: Readonly<Record<string, StackStage>>
  /** Where it was deployed with `backfill`: ARN of the state machine, and its functions by stage id. */
  readonly backfill?: { readonly machine: string; readonly functions: Readonly<Record<string, string>> }
}

export interface StackStage {
  readonly function: string
  readonly reads: SourceSetting['kind']
  /** Of Kinesis: what it reads. */
  readonly stream?: string
  /** Of objects: the URL of the queue that announces them. */
  readonly queue?: string
  /** UUID of the event source mapping. */
  readonly mapping: string
  /** Of a source stage: the function that cuts it. */
  readonly cut?: string
}

export const STACK_FLAGS: Readonly<Record<string, Flag>> = {
  stack: {
    value: 'NAME',
    help: 'the stack on AWS, in the region and with the credentials that the AWS CLI would take (AWS_REGION, AWS_PROFILE)',
  },
  pipeline: { value: 'NAME', help: 'Which one, of a stack with several pipelines' },
}

const PARTS = [
  'Pipeline',
  'Prefix',
  'LogTable',
  'StateTable',
  'Bucket',
  'Checkpoints',
  'Schedule',
  'Functions',
  'Stages',
] as const

/** The stack of --stack, and what the commands ask of AWS. Throws UsageError when there is none, or no pipeline in it. */
export async function openStack(args: Arguments): Promise<{ control: Control & BackfillControl; stack: Stack }> {
  const name = args.text('stack')
  if (name === undefined) throw new UsageError('--stack NAME is needed: the stack on AWS')
  const control = awsControl()
  return { control, stack: await findStack(control, name, args.text('pipeline')) }
}

export async function findStack(control: Pick<Control, 'outputs'>, name: string, pipeline?: string): Promise<Stack> {
  const outputs = await control.outputs(name)
  if (outputs === undefined)
    throw new UsageError(`there is no stack ${name} in this account and region (AWS_PROFILE and AWS_REGION choose others)`)
  const found = Object.keys(outputs).flatMap(key => {
    const path = key.endsWith('Checkpoints') ? key.slice(0, -'Checkpoints'.length) : undefined
    return path !== undefined && PARTS.every(part => outputs[path + part] !== undefined) ? [read(outputs, path)] : []
  })
  if (found.length === 0) throw new UsageError(`the stack ${name} has no pipeline of Millrace among its outputs`)
  const names = found.map(stack => stack.pipeline)
  const chosen = pipeline === undefined ? found : found.filter(stack => stack.pipeline === pipeline)
  if (chosen.length === 0) throw new UsageError(`the stack ${name} has no pipeline ${pipeline}${suggest(pipeline!, names)}`)
  if (chosen.length > 1)
    throw new UsageError(`the stack ${name} has ${chosen.length} pipelines: choose one with --pipeline, of ${list(names)}`)
  return chosen[0]!
}

function read(outputs: Readonly<Record<string, string>>, path: string): Stack {
  const of = (part: (typeof PARTS)[number]) => outputs[path + part]!
  return {
    pipeline: of('Pipeline'),
    prefix: of('Prefix'),
    tables: { log: of('LogTable'), state: of('StateTable') },
    bucket: of('Bucket'),
    checkpoints: of('Checkpoints'),
    schedule: of('Schedule'),
    checkpointFunction: JSON.parse(of('Functions')).checkpoint,
    stages: JSON.parse(of('Stages')),
    ...(outputs[`${path}Backfill`] !== undefined && { backfill: JSON.parse(outputs[`${path}Backfill`]!) }),
  }
}

/** What a savepoint of it is said to be of. */
export function stackOrigin(name: string, stack: Pick<Stack, 'stages'>): SavepointOrigin {
  return { kind: 'stack', name, streams: sourceStreams(stack) }
}

/** Kinesis streams that sources read, by the ids of their stages. */
export function sourceStreams({ stages }: Pick<Stack, 'stages'>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(stages).flatMap(([id, { cut, stream }]) => (cut === undefined || stream === undefined ? [] : [[id, stream]])),
  )
}
