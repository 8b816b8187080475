import { DEFAULT_BACKOFF, type OnFailure, type AsyncOptions as OperatorOptions } from '../operators/async-options.ts'
import { wholeNumber } from './check.ts'
import { type Duration, nonNegativeDuration, positiveDuration } from './duration.ts'
import { PipelineError } from './error.ts'

/** How calls are made, repeated and given up. */
export interface AsyncOptions<T, R> {
  /** Calls under way at a time, per subtask. Default 16. */
  capacity?: number
  /** Of one attempt. Default 30 s. */
  timeout?: Duration
  /** Attempts after the first. An error with `retryable: false` is final at once. Default 3. */
  retries?: number
  /** The pause before a retry: `initial` (100 ms), times `factor` (2) with each retry, at most `max` (10 s), less a random part of up to `jitter` (0.5). */
  backoff?: { initial?: Duration; max?: Duration; factor?: number; jitter?: number }
  /** `ordered` (default): results in the order of the input. `completed`: as they come, but never across a watermark. */
  order?: 'ordered' | 'completed'
  /**
   * When all attempts have failed. `fail` (default): nothing of the batch is committed. On one machine the run ends with an AsyncCallError; with `--state`, the
   * same command tries again from the last commit. On AWS, Lambda hands the batch to the stage again until it succeeds; its shard waits. `drop`: the record is gone.
   * `{ sideOutput: tag }`: an AsyncFailure goes there. A function: the result to go on with.
   */
  onFailure?: OnFailure<T, R>
}

export function asyncOptions<T, R>(options: AsyncOptions<T, R>, operator: string): OperatorOptions<T, R> {
  const { backoff = {}, order = 'ordered', onFailure = 'fail' } = options
  if (order !== 'ordered' && order !== 'completed') {
    throw new PipelineError(operator, `order is '${String(order)}'`, "Choose 'ordered' or 'completed'")
  }
  const known =
    typeof onFailure === 'function' ||
    onFailure === 'fail' ||
    onFailure === 'drop' ||
    typeof onFailure?.sideOutput?.id === 'string'
  if (!known) {
    throw new PipelineError(
      operator,
      `onFailure is '${String(onFailure)}'`,
      "Choose 'fail', 'drop', { sideOutput: tag } or a function",
    )
  }
  const factor = backoff.factor ?? DEFAULT_BACKOFF.factor
  const jitter = backoff.jitter ?? DEFAULT_BACKOFF.jitter
  if (!(factor >= 1)) throw new PipelineError(operator, `backoff.factor is ${factor}`, 'Give it a number of at least 1')
  if (!(jitter >= 0 && jitter <= 1))
    throw new PipelineError(operator, `backoff.jitter is ${jitter}`, 'Give it a number from 0 to 1')
  return {
    capacity: wholeNumber(options.capacity ?? 16, 1, operator, 'capacity'),
    timeoutMs: positiveDuration(options.timeout ?? '30s', `${operator}: timeout`),
    retries: wholeNumber(options.retries ?? 3, 0, operator, 'retries'),
    backoff: {
      initialMs: nonNegativeDuration(backoff.initial ?? DEFAULT_BACKOFF.initialMs, `${operator}: backoff.initial`),
      maxMs: nonNegativeDuration(backoff.max ?? DEFAULT_BACKOFF.maxMs, `${operator}: backoff.max`),
      factor,
      jitter,
    },
    order,
    onFailure,
  }
}
