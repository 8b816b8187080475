import { describe, syncFunction, wholeNumber } from '../api/check.ts'
import { type Duration, positiveDuration } from '../api/duration.ts'
import { PipelineError } from '../api/error.ts'
import type { Pattern as CompiledPattern } from './matching.ts'
import { noSkip, type SkipStrategy } from './skip.ts'
import type { Condition, Contiguity, Not, Step, Steps } from './steps.ts'

/** The events of a match, by the names of the pattern's steps; empty for one that was left out. */
export type Match<T, N extends string = string> = { readonly [name in N]: readonly T[] }

/** Starts a pattern with its first step. */
export type Begin<T> = <const N extends string>(name: N) => Pattern<T, N>

/** The step that methods such as where and times are about: the last one. */
type Last<T> = { readonly kind: 'step'; readonly step: Step<T> } | { readonly kind: 'not'; readonly not: Not<T> }

type PatternCondition<T, N extends string> = (event: T, events: Match<T, N>) => boolean

/**
 * A sequence of events to look for, step by step, as Flink's Pattern. Each method gives a new pattern; where, or, times and the like are about the step
 * named last.
 */
export class Pattern<T, N extends string> {
  private readonly done: readonly Step<T>[]
  /** What may not come before the last step, or, while that is such a one itself, before the next. */
  private readonly nots: readonly Not<T>[]
  private readonly last: Last<T>
  private readonly withinMs: number | undefined

  constructor(done: readonly Step<T>[], nots: readonly Not<T>[], last: Last<T>, withinMs: number | undefined) {
    this.done = done
    this.nots = nots
    this.last = last
    this.withinMs = withinMs
  }

  /** Its next event comes directly behind the step before it. */
  next<const M extends string>(name: M): Pattern<T, N | M> {
    return this.append(newStep(name, 'strict'))
  }

  /** Events that don't fit may come before it. */
  followedBy<const M extends string>(name: M): Pattern<T, N | M> {
    return this.append(newStep(name, 'relaxed'))
  }

  /** Any events may come before it: each event behind the step before it that fits is a match of its own. */
  followedByAny<const M extends string>(name: M): Pattern<T, N | M> {
    return this.append(newStep(name, 'any'))
  }

  /** The event directly behind the step before it may not fit. */
  notNext(name: string): Pattern<T, N> {
    return this.never(name, true)
  }

  /** No event that fits may come before the step behind it; at the end of a pattern, before the time of `within` is over. */
  notFollowedBy(name: string): Pattern<T, N> {
    return this.never(name, false)
  }

  /** The event has to fit this too. `events` are those that the match has so far. */
  where(condition: PatternCondition<T, N>): Pattern<T, N> {
    return this.condition(condition, 'where', (a, b) => a && b)
  }

  /** Or this. */
  or(condition: PatternCondition<T, N>): Pattern<T, N> {
    return this.condition(condition, 'or', (a, b) => a || b)
  }

  /** So many events, or so many to so many. Others may lie between them, unless it is `consecutive`. */
  times(from: number, to = from): Pattern<T, N> {
    wholeNumber(from, 1, 'times', 'the number of events')
    return this.change('times', { min: from, max: wholeNumber(to, from, 'times', 'the largest number of events') })
  }

  /** So many events or more. */
  timesOrMore(n: number): Pattern<T, N> {
    return this.change('timesOrMore', {
      min: wholeNumber(n, 1, 'timesOrMore', 'the number of events'),
      max: Number.POSITIVE_INFINITY,
    })
  }

  /** One event or more: each number of them is a match of its own. */
  oneOrMore(): Pattern<T, N> {
    return this.timesOrMore(1)
  }

  /** The step may be left out. */
  optional(): Pattern<T, N> {
    return this.change('optional', { optional: true })
  }

  /** As many events as there are: what fits this step is not for the next. */
  greedy(): Pattern<T, N> {
    this.checkSeveral('greedy')
    return this.change('greedy', { greedy: true })
  }

  /** Nothing lies between the events of the step. */
  consecutive(): Pattern<T, N> {
    this.checkSeveral('consecutive')
    return this.change('consecutive', { inner: 'strict' })
  }

  /** Anything may lie between the events of the step, also some that fit. */
  allowCombinations(): Pattern<T, N> {
    this.checkSeveral('allowCombinations')
    return this.change('allowCombinations', { inner: 'any' })
  }

  /** Ends a oneOrMore or timesOrMore: from the event on that this is true for, nothing is for this step. */
  until(condition: PatternCondition<T, N>): Pattern<T, N> {
    syncFunction(condition, 'until', 'Write until(e => e.done)')
    if (this.step('until').max !== Number.POSITIVE_INFINITY) throw misplaced('until', 'oneOrMore or timesOrMore')
    return this.change('until', { until: answering(condition as Condition<T>, 'until') })
  }

  /** A match takes less time than this, from its first event on. */
  within(time: Duration): Pattern<T, N> {
    const ms = positiveDuration(time, 'within')
    return new Pattern(this.done, this.nots, this.last, Math.min(ms, this.withinMs ?? ms))
  }

  /** @internal */
  compile(): Steps<T> {
    const { withinMs } = this
    if (this.last.kind === 'step') return { steps: [...this.done, this.closed()], trailing: [], withinMs }
    const trailing = [...this.nots, this.last.not]
    if (withinMs === undefined && !this.last.not.directly) {
      const what = `it ends with notFollowedBy('${this.last.not.name}') and has no end in time`
      throw new PipelineError('match', what, "Say for how long: .within('5m')")
    }
    return { steps: this.done, trailing, withinMs }
  }

  private append<M extends string>(step: Step<T>): Pattern<T, N | M> {
    this.checkName(step.name)
    const kind = 'step'
    if (this.last.kind === 'step') return new Pattern([...this.done, this.closed()], [], { kind, step }, this.withinMs)
    return new Pattern(this.done, [...this.nots, this.last.not], { kind, step }, this.withinMs)
  }

  private never(name: string, directly: boolean): Pattern<T, N> {
    this.checkName(name)
    const not: Not<T> = { name, directly, condition: undefined }
    if (this.last.kind === 'step') return new Pattern([...this.done, this.closed()], [], { kind: 'not', not }, this.withinMs)
    return new Pattern(this.done, [...this.nots, this.last.not], { kind: 'not', not }, this.withinMs)
  }

  private closed(): Step<T> {
    return { ...this.step('match'), nots: this.nots }
  }

  private condition(condition: unknown, method: string, join: (a: boolean, b: boolean) => boolean): Pattern<T, N> {
    syncFunction(condition, method, `Write ${method}(e => e.amount > 100)`)
    const added = answering(condition as Condition<T>, method)
    const before = this.last.kind === 'step' ? this.last.step.condition : this.last.not.condition
    const joined: Condition<T> = before === undefined ? added : (e, events) => join(before(e, events), added(e, events))
    const { last } = this
    const changed: Last<T> =
      last.kind === 'step'
        ? { kind: 'step', step: { ...last.step, condition: joined } }
        : { kind: 'not', not: { ...last.not, condition: joined } }
    return new Pattern(this.done, this.nots, changed, this.withinMs)
  }

  private change(method: string, to: Partial<Step<T>>): Pattern<T, N> {
    return new Pattern(this.done, this.nots, { kind: 'step', step: { ...this.step(method), ...to } }, this.withinMs)
  }

  private step(method: string): Step<T> {
    if (this.last.kind === 'step') return this.last.step
    throw misplaced(method, 'a step that is looked for, not one that may not come')
  }

  private checkSeveral(method: string): void {
    if (this.step(method).max === 1) throw misplaced(method, 'oneOrMore, times or timesOrMore')
  }

  private checkName(name: unknown): void {
    if (typeof name !== 'string' || name === '') {
      throw new PipelineError('match', `a step's name is ${describe(name)}`, "Write followedBy('payment')")
    }
    const taken = [...this.done, ...this.nots, this.last.kind === 'step' ? this.last.step : this.last.not]
    if (taken.some(other => other.name === name)) {
      throw new PipelineError('match', `two steps are named '${name}'`, 'Give each its own name')
    }
  }
}

/** The first step of a pattern. */
export function begin<T, const N extends string>(name: N): Pattern<T, N> {
  if (typeof name !== 'string' || name === '') {
    throw new PipelineError('match', `a step's name is ${describe(name)}`, "Write begin('order')")
  }
  return new Pattern<T, N>([], [], { kind: 'step', step: newStep<T>(name, 'relaxed') }, undefined)
}

/** A pattern in the form that it runs in. */
export function compile<T>(pattern: Pattern<T, any>, skip: SkipStrategy = noSkip()): CompiledPattern<T> {
  if (!(pattern instanceof Pattern)) {
    throw new PipelineError(
      'match',
      `its function gave ${describe(pattern)}`,
      "Write match(begin => begin('order').followedBy('payment'))",
    )
  }
  const compiled = pattern.compile()
  checkOptional(compiled)
  if (skip.name !== undefined && !compiled.steps.some(step => step.name === skip.name)) {
    const names = compiled.steps.map(step => `'${step.name}'`).join(', ')
    throw new PipelineError('match', `it is to skip to '${skip.name}', which is no step`, `Name one of ${names}`)
  }
  return { ...compiled, skip }
}

/** What has no clear meaning is refused, as in Flink. */
function checkOptional({ steps, trailing }: Steps<any>): void {
  for (const [i, step] of steps.entries()) {
    const next = steps[i + 1]
    if (step.greedy && next?.optional && next.nots.length === 0) {
      throw new PipelineError(
        'match',
        `'${next.name}' is optional, and '${step.name}' before it is greedy`,
        'Make it two patterns, with and without it',
      )
    }
    const [not] = next?.nots ?? trailing
    if (step.optional && not !== undefined) {
      const what = `'${step.name}' is optional, and '${not.name}', which may not come, stands directly behind it`
      throw new PipelineError('match', what, 'Make it two patterns, with and without the optional step')
    }
  }
}

function newStep<T>(name: string, contiguity: Contiguity): Step<T> {
  const one = { min: 1, max: 1, inner: 'relaxed', optional: false, greedy: false } as const
  return { name, contiguity, condition: undefined, until: undefined, nots: [], ...one }
}

function misplaced(method: string, behind: string): PipelineError {
  return new PipelineError('match', `.${method}() stands in the wrong place`, `Put it behind ${behind}`)
}

/** A condition that answers at once: a promise would be as good as true. */
function answering<T>(condition: Condition<T>, method: string): Condition<T> {
  return (event, events) => {
    const answer: unknown = condition(event, events)
    if (typeof answer === 'object' && answer !== null)
      throw new TypeError(`${method} gave ${answer instanceof Promise ? 'a Promise' : 'an object'}; it has to give true or false`)
    return answer as boolean
  }
}
