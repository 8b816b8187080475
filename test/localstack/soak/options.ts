import { parseArgs } from 'node:util'
import { UsageError, wholeNumber } from '../../../bench/arguments.ts'

export const HELP = `npm run soak -- [options]

Deploys the recommendation pipeline on LocalStack and feeds it traffic as fast as it takes it, while environments of its functions are killed at random moments,
LocalStack's own error injection is on, answers of services are lost, and checkpoints are taken. In the end the contents of all sinks have to be those of an
undisturbed run in this process, record for record.

  --minutes N        of traffic, in event time (60)
  --rate R           its events a second of event time, without the bots' (3: an hour is 11,000 events)
  --parallelism N    subtasks of each stage but the source (2)
  --seed S           of the traffic, and of the plan of kills (1)
  --kill-every S     seconds from one kill to the next, on average (5)
  --kills N          at most so many (default: as many as there are until the end; 0: none)
  --errors P         share of calls that LocalStack throttles, of DynamoDB's and of Kinesis's puts (0.05)
  --lost P           share of answers that are lost on their way to the functions (0.01)
  --json FILE        the report as JSON as well
  --help             this text

A LocalStack is set up and started as for npm run test:localstack, unless LOCALSTACK_ENDPOINT names one. It has to run its functions as processes of this machine
(start.sh): others could not be killed. Ends with 1 when a record differs.`

export interface SoakOptions {
  readonly minutes: number
  readonly rate: number
  readonly parallelism: number
  readonly seed: number
  /** Mean. */
  readonly killEverySeconds: number
  /** At most: however slow the machine is, it comes to its end. */
  readonly kills: number
  /** Share of calls, 0 to 1. */
  readonly errors: number
  /** Share of answers, 0 to 1. */
  readonly lost: number
}

export interface SoakArguments extends SoakOptions {
  readonly json: string | undefined
}

/** Undefined: help is asked for. @throws UsageError */
export function parseSoakArguments(words: readonly string[]): SoakArguments | undefined {
  const { values } = parsed(words)
  if (values.help) return undefined
  return {
    minutes: wholeNumber('minutes', values.minutes),
    rate: number('rate', values.rate, Number.MIN_VALUE, 1_000),
    parallelism: wholeNumber('parallelism', values.parallelism),
    seed: wholeNumber('seed', values.seed, 0),
    killEverySeconds: number('kill-every', values['kill-every'], Number.MIN_VALUE, 3_600),
    kills: values.kills === undefined ? Number.MAX_SAFE_INTEGER : wholeNumber('kills', values.kills, 0),
    errors: number('errors', values.errors, 0, 0.5),
    lost: number('lost', values.lost, 0, 0.5),
    json: values.json,
  }
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        minutes: { type: 'string', default: '60' },
        rate: { type: 'string', default: '3' },
        parallelism: { type: 'string', default: '2' },
        seed: { type: 'string', default: '1' },
        'kill-every': { type: 'string', default: '5' },
        kills: { type: 'string' },
        errors: { type: 'string', default: '0.05' },
        lost: { type: 'string', default: '0.01' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** @throws UsageError */
function number(flag: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (text !== '' && value >= least && value <= most) return value
  throw new UsageError(
    `--${flag} ${text} has to be a number ${least === 0 ? 'from 0' : 'above 0, at most'} ${least === 0 ? `to ${most}` : most}`,
  )
}
