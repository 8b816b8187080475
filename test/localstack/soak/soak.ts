import { traffic } from '../../../examples/recommendations/traffic.ts'
import { destroy } from '../cdk.ts'
import { openFaultyProxy } from '../faulty-proxy.ts'
import { deployRecommendations, endOf, type RecommendationsStack } from '../recommendations-stack.ts'
import { resourcesOf } from '../remains.ts'
import { endpoint } from '../resources.ts'
import { withVariables } from '../unreliable.ts'
import { differences } from './differences.ts'
import { failedInvocations } from './failed-invocations.ts'
import { readFunctionLogs } from './function-logs.ts'
import { withInjectedErrors } from './injection.ts'
import { type Kills, killByPlan, killPlan } from './kills.ts'
import type { SoakOptions } from './options.ts'
import type { Progress, SoakReport } from './report.ts'

/** What is put at a time: the next only when all before is taken, so that it comes as fast as it is taken. */
const SLICE = 2_000
/** For whatever is waited for while faults are on. */
const WAIT_MS_MAX = 45 * 60_000
/** Under kills a checkpoint may fail; so many in a row, and none ever completes. */
const TRIES_MAX = 20

/**
 * One run, as HELP of options.ts says it, on the LocalStack of LOCALSTACK_ENDPOINT. `tell` is called whenever something happened.
 *
 * @throws Error when the stack can't be deployed, or never gets to the end of its input
 */
export async function soak(options: SoakOptions, tell: (progress: Progress) => void): Promise<SoakReport> {
  const { minutes, rate, parallelism, seed, errors, lost } = options
  const lines = [...traffic({ minutes, rate, seed, users: 80 })].map(event => JSON.stringify(event))
  const stack = await deployRecommendations(parallelism, WAIT_MS_MAX)
  const wanted = await stack.embedded(lines)
  const labels = await functionsOf(stack)
  const functions = [...labels.keys()]
  const since = Date.now()
  const proxy = await openFaultyProxy(endpoint!, { throttled: 0, answerLost: lost }, seed)
  const through = { AWS_ENDPOINT_URL: proxy.endpoint, AWS_ENDPOINT_URL_S3: proxy.endpoint }
  try {
    let run: Run | undefined
    await withVariables(stack.deployed.lambda, functions, through, async () => {
      const variable = `AWS_ENDPOINT_URL=${proxy.endpoint}`
      run = await withInjectedErrors(errors, () => underFaults(stack, [...lines, endOf(lines)], options, variable, tell))
    })
    const { invocations, metrics } = await readFunctionLogs(functions)
    const found = await stack.visible()
    const outcomes = (await stack.deployed.decisions()).map(d => d.decision.outcome)
    return {
      options,
      events: lines.length,
      rows: Object.fromEntries(Object.entries(wanted).map(([sink, rows]) => [sink, rows.length])),
      seconds: run!.seconds,
      kills: Object.fromEntries([...run!.kills].map(([name, count]) => [labels.get(name)!, count])),
      throttled: {
        ...Object.fromEntries(proxy.refusals),
        ...(run!.putsThrottled > 0 && { 'feeding PutRecords': run!.putsThrottled }),
      },
      answersLost: proxy.counts.lost,
      calls: proxy.counts.passed + proxy.counts.lost,
      checkpoints: {
        complete: outcomes.filter(o => o === 'complete').length,
        failed: outcomes.filter(o => o !== 'complete').length,
      },
      invocations,
      failedInvocations: await failedInvocations(functions, since),
      metrics,
      deadLetters: (await stack.deployed.deadLetters()).length,
      differences: differences(found, wanted),
    }
  } finally {
    await proxy.close()
    stack.deployed.close()
    await destroy(stack.source)
  }
}

/** Names of the pipeline's functions, and what they are to a reader: the stage, or the resource in the stack without its hash. */
async function functionsOf({ source, deployed }: RecommendationsStack): Promise<Map<string, string>> {
  const stages = new Map(Object.entries(deployed.functions).map(([stage, f]) => [f.function, `stage ${stage}`]))
  const all = (await resourcesOf(source.stack)).filter(
    r => r.type === 'AWS::Lambda::Function' && r.logicalId.startsWith('Pipeline'),
  )
  return new Map(all.map(r => [r.id, stages.get(r.id) ?? r.logicalId.replace(/^Pipeline|[0-9A-F]{8}$/g, '')]))
}

interface Run {
  /** From the first put until all of it is in the results. */
  readonly seconds: number
  readonly kills: Kills
  /** Calls. */
  readonly putsThrottled: number
}

/** Feeds, kills and takes checkpoints, all at the same time; kills go on until a checkpoint that began behind the last record is complete. */
async function underFaults(
  { deployed }: RecommendationsStack,
  lines: readonly string[],
  { seed, killEverySeconds, kills: killsMax }: SoakOptions,
  variable: string,
  tell: (progress: Progress) => void,
): Promise<Run> {
  const began = performance.now()
  const progress = { events: lines.length, fed: 0, kills: 0, complete: 0, failed: 0 }
  let ended = false
  let fedAll = false
  let putsThrottled = 0

  async function feed() {
    for (; progress.fed < lines.length; progress.fed = Math.min(lines.length, progress.fed + SLICE)) {
      putsThrottled += await deployed.feed(0, lines.slice(progress.fed, progress.fed + SLICE))
      await deployed.consumed()
      tell(progress)
    }
    fedAll = true
  }

  async function checkpoints() {
    for (let failures = 0, last = false; !last; ) {
      last = fedAll
      const { status, cause } = await deployed.execute()
      if (status === 'SUCCEEDED') {
        failures = 0
        progress.complete++
      } else {
        last = false
        progress.failed++
        if (++failures === TRIES_MAX) throw new Error(`${TRIES_MAX} checkpoints in a row failed, the last one for ${cause}`)
      }
      tell(progress)
    }
  }

  const killing = killByPlan(killPlan(seed, killEverySeconds * 1000).take(killsMax), variable, kills => {
    progress.kills = kills
    return ended
  })
  await Promise.all([feed(), checkpoints()]).finally(() => {
    ended = true
  })
  const kills = await killing
  await deployed.settle()
  return { seconds: (performance.now() - began) / 1000, kills, putsThrottled }
}
