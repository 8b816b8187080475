import type { SFNClient } from '@aws-sdk/client-sfn'
import { systemClock, systemRandom } from '../../embedded/clock.ts'
import { caller } from '../call.ts'
import { isNamed } from '../classify.ts'
import { clientConfig } from '../client-config.ts'
import { meters } from '../meter.ts'

/** Executions of a state machine. */
export interface Executions {
  /** Whether one runs, as far as Step Functions has heard. */
  running(machine: string): Promise<boolean>
  /** Starts one. One of the same name that began before, in 90 days, is taken for this one: a call that comes twice starts one. */
  start(machine: string, name: string | undefined, input: object): Promise<void>
}

/** The client is loaded when it is first needed: while nothing flows, never. */
export function awsExecutions(deadline: () => number): Executions {
  const call = caller({ clock: systemClock, random: systemRandom, meters: meters(), deadline })
  let client: SFNClient | undefined
  const states = async () => {
    const sdk = await import('@aws-sdk/client-sfn')
    client ??= new sdk.SFNClient(clientConfig({}))
    return { sdk, client }
  }
  return {
    async running(stateMachineArn) {
      const { sdk, client } = await states()
      const command = new sdk.ListExecutionsCommand({ stateMachineArn, statusFilter: 'RUNNING', maxResults: 1 })
      const asked = { operation: 'states.ListExecutions', resource: stateMachineArn }
      const { executions = [] } = await call(asked, ({ signal: abortSignal }) => client.send(command, { abortSignal }))
      return executions.length > 0
    },
    async start(stateMachineArn, name, input) {
      const { sdk, client } = await states()
      const command = new sdk.StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) })
      const expected = (error: unknown) => isNamed(error, 'ExecutionAlreadyExists')
      const asked = { operation: 'states.StartExecution', resource: stateMachineArn, expected }
      try {
        await call(asked, ({ signal: abortSignal }) => client.send(command, { abortSignal }))
      } catch (error) {
        if (!expected(error)) throw error
      }
    },
  }
}
