import jsonata from 'jsonata'
import { atOnce } from '../../runtime/connectors/at-once.ts'

/** An error as a task of a state machine has it. */
export class TaskError extends Error {
  constructor(name: string, message = 'it failed') {
    super(message)
    this.name = name
  }
}

export interface Machine {
  readonly id: string
  readonly execution: { readonly id: string; readonly input: unknown }
  /** Epoch ms; waiting moves it. */
  clock: { now: number }
  task(resource: string, args: any): Promise<unknown>
}

export interface Ended {
  readonly status: 'SUCCEEDED' | 'FAILED'
  readonly output?: unknown
  readonly error?: string
  readonly cause?: string
  /** The states that were entered, those of maps too. */
  readonly path: readonly string[]
}

const STATES_MAX = 1000

/**
 * Amazon States Language with JSONata, as far as the controller uses it, strictly: an expression without a result fails, as it does on AWS. Retries take no time.
 */
export async function runMachine(definition: any, machine: Machine): Promise<Ended> {
  const path: string[] = []

  async function evaluate(text: string, states: object, scope: object): Promise<unknown> {
    const expression = jsonata(text.slice(2, -2))
    expression.registerFunction('millis', () => machine.clock.now)
    expression.registerFunction('now', () => new Date(machine.clock.now).toISOString())
    const context = { Execution: { Id: machine.execution.id, Input: machine.execution.input }, StateMachine: { Id: machine.id } }
    const result = await expression.evaluate(undefined, { ...scope, states: { context, ...states } })
    if (result === undefined) throw new TaskError('States.QueryEvaluationError', `${text} has no result`)
    return JSON.parse(JSON.stringify(result))
  }

  async function fill(template: any, states: object, scope: object): Promise<any> {
    if (typeof template === 'string') return isExpression(template) ? evaluate(template, states, scope) : template
    if (Array.isArray(template)) return Promise.all(template.map(item => fill(item, states, scope)))
    if (typeof template !== 'object' || template === null) return template
    const entries = Object.entries(template).map(async ([key, value]) => [key, await fill(value, states, scope)] as const)
    return Object.fromEntries(await Promise.all(entries))
  }

  async function perform(state: any, states: any, scope: object): Promise<unknown> {
    if (state.Type === 'Map') {
      const items = (await itemsOf(state, states, scope)) as unknown[]
      if (!Array.isArray(items)) throw new TaskError('States.QueryEvaluationError', `${state.Items} is no array`)
      const concurrency = await fill(state.MaxConcurrency, states, scope)
      if (!Number.isInteger(concurrency)) throw new TaskError('States.QueryEvaluationError', `MaxConcurrency is ${concurrency}`)
      // Executions of a Distributed Map see nothing of the one that started them.
      const inner = state.ItemProcessor.ProcessorConfig.Mode === 'DISTRIBUTED' ? {} : scope
      const outputs: unknown[] = []
      // 0: any number.
      await atOnce(concurrency || items.length, [...items.entries()], async ([i, item]) => {
        outputs[i] = (await run(state.ItemProcessor, item, { ...inner })).output
      })
      return outputs
    }
    const args = await fill(state.Arguments, states, scope)
    for (let tries = 0; ; tries++) {
      try {
        return JSON.parse(JSON.stringify((await machine.task(state.Resource, args)) ?? {}))
      } catch (error) {
        const retrier = (state.Retry ?? []).find((r: any) => matches(r.ErrorEquals, error as Error))
        if (retrier === undefined || tries >= (retrier.MaxAttempts ?? 3)) throw error
      }
    }
  }

  async function itemsOf({ Items, ItemReader }: any, states: object, scope: object): Promise<unknown> {
    if (ItemReader === undefined) return fill(Items, states, scope)
    return machine.task(ItemReader.Resource, await fill(ItemReader.Arguments, states, scope))
  }

  /** Runs to the end of a list of states; throws what fails it. */
  async function run({ StartAt, States }: any, given: unknown, variables: Record<string, unknown>): Promise<{ output: unknown }> {
    let input = given
    for (let name = StartAt; ; ) {
      const state = States[name]
      if (path.push(name) > STATES_MAX) throw new Error(`it goes on for ever: ${path.slice(-10)}`)
      const assign = async (from: any, states: object) => {
        const values = await fill(from?.Assign ?? {}, states, variables)
        Object.assign(variables, values)
        for (const [variable, value] of Object.entries(variables)) {
          // As LocalStack does, which puts a string between quotes as it is.
          if (typeof value === 'string' && /["\\]/.test(value))
            throw new TaskError('UNKNOWN', `$${variable} is text with quotes: ${value}`)
        }
      }
      const states = { input }
      if (state.Type === 'Fail')
        throw new TaskError(await fill(state.Error, states, variables), await fill(state.Cause, states, variables))
      if (state.Type === 'Choice') {
        let next = state.Default
        for (const { Condition, Next } of state.Choices) {
          const holds = await evaluate(Condition, states, variables)
          if (typeof holds !== 'boolean') throw new TaskError('States.QueryEvaluationError', `${Condition} is ${holds}`)
          if (!holds) continue
          next = Next
          break
        }
        name = next
        continue
      }
      if (state.Type === 'Wait') {
        machine.clock.now += 1000 * Number(await fill(state.Seconds, states, variables))
      }
      try {
        const result = state.Type === 'Task' || state.Type === 'Map' ? await perform(state, states, variables) : input
        await assign(state, { ...states, result })
        input = state.Output === undefined ? result : await fill(state.Output, { ...states, result }, variables)
      } catch (error) {
        const catcher = (state.Catch ?? []).find((c: any) => matches(c.ErrorEquals, error as Error))
        if (catcher === undefined) throw error
        const errorOutput = { Error: (error as Error).name, Cause: (error as Error).message }
        await assign(catcher, { ...states, errorOutput })
        input = errorOutput
        name = catcher.Next
        continue
      }
      if (state.Type === 'Succeed' || state.End) return { output: input }
      name = state.Next
    }
  }

  try {
    const { output } = await run(definition, machine.execution.input, {})
    return { status: 'SUCCEEDED', output, path }
  } catch (error) {
    if (!(error instanceof TaskError)) throw error
    return { status: 'FAILED', error: error.name, cause: error.message, path }
  }
}

export function isExpression(text: string): boolean {
  return text.startsWith('{%') && text.endsWith('%}')
}

function matches(names: readonly string[], error: Error): boolean {
  return names.includes('States.ALL') || names.includes(error.name)
}
