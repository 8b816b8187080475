import { endpoint } from '../resources.ts'

/** LocalStack's own error injection: shares of calls that it answers as throttled. Of Kinesis only puts are. */
const VARIABLES = ['KINESIS_ERROR_PROBABILITY', 'DYNAMODB_ERROR_PROBABILITY'] as const

/** As long as `work` runs, LocalStack throttles this share of the calls. */
export async function withInjectedErrors<T>(share: number, work: () => Promise<T>): Promise<T> {
  try {
    for (const variable of VARIABLES) await set(variable, share)
    return await work()
  } finally {
    for (const variable of VARIABLES) await set(variable, 0)
  }
}

async function set(variable: string, value: number): Promise<void> {
  const body = JSON.stringify({ variable, value })
  const answer = await fetch(`${endpoint}/_localstack/config`, { method: 'POST', body })
  const found = answer.ok ? ((await answer.json()) as { value?: unknown }).value : undefined
  if (found !== value)
    throw new Error(
      `LocalStack did not take ${variable}=${value}: start it with ENABLE_CONFIG_UPDATES=1, as start.sh and compose.yaml do`,
    )
}
