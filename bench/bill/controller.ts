import { checkpointDefinition } from '../../infra/checkpoint-definition.ts'
import { type CheckpointEvent, checkpointHandler } from '../../runtime/aws/functions/checkpoint.ts'
import { cutHandler } from '../../runtime/aws/functions/cut.ts'
import { lookHandler } from '../../runtime/aws/functions/look.ts'
import { materialiseHandler } from '../../runtime/aws/functions/materialise.ts'
import type { FoldLimits } from '../../runtime/checkpoint/snapshot.ts'
import { runMachine } from '../../test/infra/states.ts'
import type { Part } from './parts.ts'

const MACHINE = 'arn:aws:states:us-east-1:1:stateMachine:bill'
/** As the construct has it. */
const TIMEOUT_SECONDS = 120

/** The schedule and the state machine, by the definition that is deployed. */
export interface Controller {
  /** What happens each minute. False: there was nothing to do. @throws Error when the checkpoint failed */
  tick(at: number): Promise<boolean>
}

/** `clock`: waiting moves it, and `catchUp` has happen what happens meanwhile. */
export function openController(
  part: (name: string, stage?: string) => Part,
  sources: readonly string[],
  windowSeconds: number,
  clock: { now: number },
  catchUp: () => Promise<void>,
  defer: FoldLimits,
): Controller {
  const definition = checkpointDefinition({
    logTable: 'log',
    checkpoint: 'checkpoint',
    materialise: 'materialise',
    cuts: Object.fromEntries(sources.map(stage => [stage, stage])),
    timeoutSeconds: TIMEOUT_SECONDS,
    windowSeconds,
    everySeconds: undefined,
  })
  const parts = { look: part('look'), checkpoint: part('checkpoint'), materialise: part('materialise') }
  const cuts = new Map(sources.map(stage => [stage, part('cut', stage)]))
  const steps = checkpointHandler(parts.checkpoint.environment)
  const materialise = materialiseHandler(parts.materialise.environment, defer)
  const cutters = new Map([...cuts].map(([stage, { environment }]) => [stage, cutHandler(environment)]))
  let due = false
  const look = lookHandler(parts.look.environment, {
    running: async () => false,
    start: async () => {
      due = true
    },
  })

  function invoke(name: string, payload: any): Promise<unknown> {
    if (name === 'checkpoint') return parts.checkpoint.invoke(payload, (event: CheckpointEvent, c) => steps(event, c))
    if (name === 'materialise') return parts.materialise.invoke(payload, materialise)
    return cuts.get(name)!.invoke(payload, cutters.get(name)!)
  }

  async function task(resource: string, args: any): Promise<unknown> {
    await catchUp()
    const action = resource.slice(resource.lastIndexOf(':') + 1)
    if (action === 'invoke') return { Payload: await invoke(args.FunctionName, args.Payload) }
    // The lock: nobody else wants it.
    parts.checkpoint.usage.writeUnits++
    return {}
  }

  let executions = 0
  return {
    async tick(at) {
      due = false
      await parts.look.invoke({ step: 'look', machine: MACHINE, at: new Date(at).toISOString() }, look)
      if (!due) return false
      const id = `execution-${++executions}`
      const ended = await runMachine(definition, { id: MACHINE, execution: { id, input: { repeat: true } }, clock, task })
      parts.checkpoint.usage.transitions += ended.path.length
      if (ended.status !== 'SUCCEEDED') throw new Error(`a checkpoint failed: ${ended.cause}`)
      return true
    },
  }
}
