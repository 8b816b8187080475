import {
  DeleteFunctionConcurrencyCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  PutFunctionConcurrencyCommand,
  TooManyRequestsException,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda'
import type { Deployed } from './deployed.ts'

/**
 * For `withVariables`: every environment of the function is killed sooner or later, at some request that it sends or some answer that it gets: after at
 * most `life` of them, which have to be enough for what one invocation does.
 */
export function mortal(life: number): Readonly<Record<string, string>> {
  const code = `import dc from 'node:diagnostics_channel'
let left = 1 + Math.floor(Math.random() * ${life})
const tick = () => --left === 0 && process.kill(process.pid, 'SIGKILL')
for (const name of ['http.client.request.start', 'http.client.response.finish']) dc.subscribe(name, tick)`
  return { NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(code).toString('base64')}` }
}

const UPDATE_S_MAX = 60

/** Functions with other environment variables as long as `work` runs. */
export async function withVariables(
  lambda: LambdaClient,
  functions: readonly string[],
  variables: Readonly<Record<string, string>>,
  work: () => Promise<void>,
): Promise<void> {
  const before = await Promise.all(functions.map(name => variablesOf(lambda, name)))
  await Promise.all(functions.map((name, i) => update(lambda, name, { ...before[i], ...variables })))
  try {
    await work()
  } finally {
    await Promise.all(functions.map((name, i) => update(lambda, name, before[i]!)))
  }
}

async function variablesOf(lambda: LambdaClient, FunctionName: string): Promise<Record<string, string>> {
  const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }))
  return Environment?.Variables ?? {}
}

async function update(lambda: LambdaClient, FunctionName: string, Variables: Record<string, string>): Promise<void> {
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables } }))
  await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: UPDATE_S_MAX, minDelay: 1, maxDelay: 1 }, { FunctionName })
}

/** Each of the functions may run in so many environments at a time as long as `work` runs: what is more is throttled. */
export async function withConcurrency(
  lambda: LambdaClient,
  functions: readonly string[],
  environments: number,
  work: () => Promise<void>,
): Promise<void> {
  const limit = { ReservedConcurrentExecutions: environments }
  await Promise.all(functions.map(FunctionName => lambda.send(new PutFunctionConcurrencyCommand({ FunctionName, ...limit }))))
  try {
    await work()
  } finally {
    await Promise.all(functions.map(FunctionName => lambda.send(new DeleteFunctionConcurrencyCommand({ FunctionName }))))
  }
}

/** How the invocations of rivals ended. */
export interface RivalCounts {
  done: number
  partly: number
  killed: number
  throttled: number
}

/** Invokes a stage's function with the batches of one of its shards, beside the event source mapping that does the same. Until `ended`. */
export async function rival(
  { deliver, streams, functions }: Deployed,
  stage: string,
  shard: number,
  from: string | undefined,
  counts: RivalCounts,
  ended: () => boolean,
): Promise<void> {
  const { stream } = functions[stage]!
  let after = from
  for (let batch = 1; !ended(); batch++) {
    // Other batches than the mapping's.
    const records = await streams.poll(stream, shard, after, 1 + ((batch * 37) % 90))
    if (records.length === 0) {
      await new Promise(resolve => setTimeout(resolve, 50))
      continue
    }
    const delivered = await deliver(stage, shard, records).catch(error => {
      if (error instanceof TooManyRequestsException) return 'throttled' as const
      throw error
    })
    if (delivered === 'throttled') {
      counts.throttled++
      continue
    }
    if (delivered === 'killed') counts.killed++
    else if (delivered.done < records.length) counts.partly++
    else counts.done++
    if (delivered !== 'killed' && delivered.done > 0) after = records[delivered.done - 1]!.seq
  }
}
