import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Measured } from './measured.ts'
import { outputOf } from './ours.ts'

export type FlinkApi = 'ds' | 'sql'

export interface FlinkSettings {
  /** Where `bench.sh` is, built, with its large data. */
  readonly directory: string
  readonly query: string
  readonly api: FlinkApi
  readonly parallelism: number
  readonly exactlyOnce: boolean
}

/** What its bench has. */
const HAS: Readonly<Record<FlinkApi, readonly string[]>> = {
  ds: ['q0', 'q1', 'q2', 'q3', 'q5', 'q6', 'q7', 'q8', 'q11', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6'],
  sql: ['q0', 'q1', 'q2', 'q3', 'q4', 'q5', 'q7', 'q8', 'q9', 'q11', 'e1', 'e2', 'e3'],
}

export function flinkHas(query: string, api: FlinkApi): boolean {
  return HAS[api].includes(query)
}

/** It tells the largest process that it waited for. */
export const GNU_TIME = '/usr/bin/time'

/** What `-f peak_kb=%M` of GNU time says; undefined: it did not run. */
export function peakMbIn(output: string): number | undefined {
  const found = /\bpeak_kb=(\d+)/.exec(output)
  return found === null ? undefined : Number(found[1]) / 1024
}

/** Runs Flink's `bench.sh` once. @throws Error when it fails */
export async function runFlink({ directory, query, api, parallelism, exactlyOnce }: FlinkSettings): Promise<Measured> {
  const script = [join(directory, 'bench.sh'), query, 'large', api]
  const env = { RUNS: '1', PARS: String(parallelism), CKPTS: exactlyOnce ? 'ckpt' : 'nockpt' }
  const timed = existsSync(GNU_TIME)
  const output = timed ? await outputOf(GNU_TIME, ['-f', 'peak_kb=%M', ...script], env) : await outputOf('bash', script, env)
  const field = (name: string) => {
    const found = new RegExp(`\\b${name}=([\\d.]+)`).exec(output)
    return found === null ? undefined : Number(found[1])
  }
  const [events, seconds, processSeconds] = [field('events'), field('job_s'), field('with_jvm_s')]
  const cpuSeconds = field('cpu_s')
  if (events === undefined || seconds === undefined || processSeconds === undefined || cpuSeconds === undefined) {
    throw new Error(`${script.join(' ')} printed no result:\n${output}`)
  }
  return {
    events,
    seconds,
    processSeconds,
    cpuSeconds,
    peakMb: peakMbIn(output),
    checkpoints: field('last_ckpt') ?? 0,
  }
}
