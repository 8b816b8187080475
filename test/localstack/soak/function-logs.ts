import { endpoint } from '../resources.ts'

/** What functions wrote into their logs. */
export interface FunctionLogs {
  readonly invocations: number
  /** Sums of what they count (metric-names.ts). */
  readonly metrics: Readonly<Record<string, number>>
}

const COUNTED = ['RecordsIn', 'Replays', 'LostRaces', 'Aborts', 'LateRecords', 'DeadLetters']

/** Of functions by name, all that they wrote since they were deployed. */
export async function readFunctionLogs(functions: readonly string[]): Promise<FunctionLogs> {
  let invocations = 0
  const metrics: Record<string, number> = Object.fromEntries(COUNTED.map(name => [name, 0]))
  for (const name of functions)
    for await (const message of messages(`/aws/lambda/${name}`)) {
      if (message.startsWith('START ')) invocations++
      if (!message.includes('"_aws"')) continue
      const told = JSON.parse(message)
      for (const metric of COUNTED) metrics[metric]! += Number(told[metric] ?? 0)
    }
  return { invocations, metrics }
}

/** By the protocol itself: nothing else here would need a client of CloudWatch Logs. */
async function* messages(logGroupName: string): AsyncGenerator<string> {
  for (let nextToken: string | undefined; ; ) {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Logs_20140328.FilterLogEvents' }
    const answer = await fetch(endpoint!, { method: 'POST', headers, body: JSON.stringify({ logGroupName, nextToken }) })
    const { events, nextToken: next, ...rest } = (await answer.json()) as any
    // A function that was never invoked has no log.
    if (!answer.ok && !/ResourceNotFound/.test(rest.__type))
      throw new Error(`${logGroupName} could not be read: ${JSON.stringify(rest)}`)
    for (const { message } of events ?? []) yield message
    if (next === undefined || next === nextToken) return
    nextToken = next
  }
}
