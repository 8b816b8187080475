import { checkpointDefinition } from '../../infra/checkpoint-definition.ts'
import { type Ended, runMachine, TaskError } from './states.ts'

/** What the controller's functions do here; each throws, answers, or does as it would in a good checkpoint. */
export interface Steps {
  start?(): unknown
  cut?(stage: string, payload: any): unknown
  collect?(): unknown
  materialise?(part: any): unknown
  complete?(payload: any): unknown
  fail?(payload: any): unknown
}

const STARTED = {
  run: 'r1',
  checkpoint: 7,
  startedAt: 1,
  sources: [
    { stage: 'clicks', shards: [0, 1] },
    { stage: 'clicks', shards: [2] },
    { stage: 'orders', shards: [0] },
  ],
}
export const PARTS = [
  { stage: 'clicks', shard: 0, version: 3 },
  { stage: 'pages', shard: 0, version: 5 },
]
const MACHINE = 'arn:aws:states:eu-west-1:1:stateMachine:shop-checkpoints'
export const NOW = 1_700_000_000_000

/** A world for the controller: its functions, its lock, and executions. */
export function controller({
  everySeconds,
  windowSeconds = 0,
  steps = {},
}: {
  everySeconds?: number
  windowSeconds?: number
  steps?: Steps
} = {}) {
  const definition = checkpointDefinition({
    logTable: 'log',
    checkpoint: 'checkpoint-fn',
    materialise: 'materialise-fn',
    cuts: { clicks: 'cut-clicks-fn', orders: 'cut-orders-fn' },
    timeoutSeconds: 120,
    windowSeconds,
    everySeconds,
  })
  const calls: { name: string; payload: any }[] = []
  const started: any[] = []
  const statuses = new Map<string, string>()
  const world = { lock: undefined as any, clock: { now: NOW }, calls, started, statuses, run }
  let executions = 0

  const functions: Record<string, (payload: any) => unknown> = {
    'checkpoint-fn': payload => checkpoint(payload),
    'materialise-fn': ({ part }) => steps.materialise?.(part) ?? { key: `materialised/${part.stage}` },
    'cut-clicks-fn': payload => steps.cut?.('clicks', payload) ?? { cut: payload.shards.map(() => true) },
    'cut-orders-fn': payload => steps.cut?.('orders', payload) ?? { cut: payload.shards.map(() => true) },
  }

  function checkpoint(payload: any): unknown {
    if (payload.step === 'start') return steps.start?.() ?? STARTED
    if (payload.step === 'collect') return steps.collect?.() ?? { parts: PARTS, missing: [] }
    if (payload.step === 'complete') return steps.complete?.(payload) ?? { outcome: 'complete' }
    return steps.fail?.(payload) ?? { outcome: 'failed' }
  }

  async function task(resource: string, args: any): Promise<unknown> {
    const action = resource.slice(resource.lastIndexOf(':') + 1)
    if (action === 'invoke') {
      const name = args.FunctionName.replace('-fn', '')
      calls.push({ name: args.Payload.step ?? name, payload: args.Payload })
      return { Payload: await functions[args.FunctionName]!(args.Payload) }
    }
    if (action === 'describeExecution') {
      const Status = statuses.get(args.ExecutionArn)
      if (Status === undefined) throw new TaskError('Sfn.ExecutionDoesNotExistException')
      return { Status }
    }
    if (action === 'startExecution') return void started.push(args)
    return onLock(action, args)
  }

  function onLock(action: string, args: any): unknown {
    if (args.TableName !== 'log') throw new Error(`another table: ${args.TableName}`)
    const before = world.lock
    if (!holds(args, before)) throw new TaskError('DynamoDB.ConditionalCheckFailedException')
    if (action === 'putItem') world.lock = args.Item
    else if (action === 'deleteItem') world.lock = undefined
    else if (action === 'updateItem') world.lock = { ...before, until: args.ExpressionAttributeValues[':until'] }
    return action === 'getItem'
      ? { ...(before && { Item: before }) }
      : { ...(before && args.ReturnValues && { Attributes: before }) }
  }

  async function run(input: object = {}): Promise<Ended> {
    const id = `execution-${++executions}`
    statuses.set(id, 'RUNNING')
    const ended = await runMachine(definition, { id: MACHINE, execution: { id, input }, clock: world.clock, task })
    statuses.set(id, ended.status)
    return ended
  }
  return world
}

/** The conditions that the controller puts on its lock. */
function holds({ ConditionExpression: condition, ExpressionAttributeValues: values }: any, lock: any): boolean {
  if (condition === undefined) return true
  if (condition === 'attribute_not_exists(pk)') return lock === undefined
  if (condition === 'attribute_exists(pk)') return lock !== undefined
  if (condition === '#owner = :owner') return lock?.owner.S === values[':owner'].S
  throw new Error(`not known here: ${condition}`)
}
