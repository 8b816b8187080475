import { parseDuration } from '../api/duration.ts'
import type { SinkHandle } from '../api/sink.ts'
import type { SourceStream } from '../api/source.ts'
import { Exclusive } from '../embedded/exclusive.ts'
import type { RunTotals } from '../embedded/run-options.ts'
import type { HeadFields } from '../protocol/item.ts'
import { loadHead } from '../protocol/log.ts'
import { onlyOptions, recordsOf } from './check.ts'
import type { HandClock } from './clock.ts'
import type { Collector, TestRecord } from './collector.ts'
import { openDriver } from './driver.ts'
import type { EnvironmentOptions } from './environment.ts'
import { TestKitError } from './error.ts'
import type { TestFault } from './faults.ts'
import type { TestSplit } from './input.ts'
import { lookAtState, lookAtTimers } from './look.ts'
import { type Names, sinkName, sourceName } from './names.ts'
import { takeSnapshot } from './snapshot.ts'
import type { Tapped } from './taps.ts'
import { renew, type Task } from './tasks.ts'
import type { SendOptions, TestPipeline } from './test-pipeline.ts'

/** What a test pipeline consists of. */
export interface TestParts {
  readonly names: Names
  /** Sinks that hear side outputs, and dead letters. */
  readonly sides: readonly string[]
  readonly deadLetters: readonly string[]
  /** By source. */
  readonly inputs: ReadonlyMap<string, readonly TestSplit[]>
  readonly tasks: readonly Task[]
  readonly clock: HandClock
  readonly collector: Collector
  readonly environment: EnvironmentOptions
  setFaults(faults: readonly TestFault[]): void
  close(): Promise<void>
}

export function testPipeline(parts: TestParts): TestPipeline {
  const { names, inputs, tasks, clock, collector, environment } = parts
  const driver = openDriver(environment, clock, tasks)
  const oneByOne = new Exclusive()
  let asked = 0
  let isClosed = false

  /** After what was asked for before. */
  function then<T>(work: () => Promise<T>): Promise<T> {
    if (isClosed) throw new TestKitError('this test pipeline is closed')
    asked++
    return oneByOne.run(work).finally(() => asked--)
  }

  /** The splits that are meant; without a source: of all. */
  function splitsOf(source?: string | SourceStream<any>, split?: number): TestSplit[] {
    const chosen = source === undefined ? [...inputs.values()] : [inputs.get(sourceName(names, source))!]
    return chosen.flatMap(all => {
      if (split === undefined) return all
      if (all[split] !== undefined) return all[split]
      throw new TestKitError(
        `there is no split ${split}: there ${all.length === 1 ? 'is' : 'are'} ${all.length}, from 0 on (see the option splits)`,
      )
    })
  }

  const send = async (source: string | SourceStream<any>, records: readonly unknown[], options: SendOptions = {}) => {
    onlyOptions('send', options, { split: true })
    const { split = 0 } = options
    const [into] = splitsOf(source, split)
    recordsOf(sourceName(names, source), records)
    into!.send(records)
    await then(driver.settle)
  }

  async function written(sink: string): Promise<TestRecord[]> {
    const states = await then(async () => {
      const heads = await headsOf(environment, tasks)
      return heads.flatMap(({ task, head }) => {
        const index = task.at.stage.nodes.filter(n => n.sink !== undefined).findIndex(n => n.sink!.name === sink)
        return head.sinks.filter(([i]) => i === index).map(([, state]) => state)
      })
    })
    return collector.recordsOf(states)
  }

  async function writtenTo(sinks: readonly string[]): Promise<TestRecord[]> {
    const all: TestRecord[] = []
    for (const sink of sinks) all.push(...(await written(sink)))
    return all
  }

  const records = (sink: string | SinkHandle<any>): Promise<TestRecord[]> => written(sinkName(names, sink))

  return {
    send,
    async watermark(time, options = {}) {
      onlyOptions('watermark', options, { source: true, split: true })
      const { source, split } = options
      if (!Number.isSafeInteger(time)) throw new TestKitError(`watermark: ${time} is no time in epoch ms`)
      for (const one of splitsOf(source, split)) one.watermark(time)
      await then(driver.settle)
    },
    async end(source) {
      for (const split of splitsOf(source)) split.end()
      await then(driver.settle)
    },
    async advance(by) {
      const ms = parseDuration(by, 'advance')
      if (ms < 0) throw new TestKitError(`advance: time does not go back, as by ${by}`)
      const to = clock.now() + ms
      // What is under way may wait for just this; it fires what is due when it ends.
      if (asked > 0) await clock.pass(to)
      else await then(() => driver.advance(to))
    },
    get now() {
      return clock.now()
    },
    results: async (sink: string | SinkHandle<any>) => (await records(sink)).map(({ value }) => value),
    records,
    async sideOutput(tag) {
      const id = tag?.id
      if (typeof id !== 'string') throw new TestKitError(`sideOutput goes by what sideOutput('name') gave, not by ${String(tag)}`)
      const all: TestRecord<Tapped>[] = await writtenTo(parts.sides)
      return all.flatMap(({ value: { tag, value } }) => (tag === id ? [value as never] : []))
    },
    deadLetters: async () => (await writtenTo(parts.deadLetters)).map(({ value }) => value),
    async counts() {
      const all = await then(async () => totals(await headsOf(environment, tasks)))
      // What the test listens to is no result.
      const tapped = (await writtenTo([...parts.sides, ...parts.deadLetters])).length
      return { ...all, results: all.results - tapped }
    },
    state: (operator, key) => then(() => lookAtState(environment, operator, key)) as Promise<never>,
    timers: (operator, key) => then(() => lookAtTimers(environment, operator, key)),
    currentWatermark: () => then(async () => Math.min(...(await headsOf(environment, tasks)).map(({ head }) => head.watermark))),
    snapshot: () => then(() => takeSnapshot(environment, tasks, driver.settle)),
    restart: () =>
      then(async () => {
        for (const task of tasks) {
          await renew(environment, task)
          task.zombie = undefined
        }
        await driver.settle()
      }),
    faults: (...faults) => parts.setFaults(faults),
    close,
    [Symbol.asyncDispose]: close,
  }

  async function close(): Promise<void> {
    if (isClosed) return
    isClosed = true
    await oneByOne.run(async () => {
      for (const { environment, zombie } of tasks) {
        await environment.subtask.close().catch(() => {})
        await zombie?.subtask.close().catch(() => {})
      }
      await parts.close()
    })
  }
}

/** Each subtask as its last commit left it. */
async function headsOf({ topology, ports }: EnvironmentOptions, tasks: readonly Task[]) {
  const heads: { task: Task; head: HeadFields }[] = []
  for (const task of tasks) {
    const { head } = await loadHead(ports.log, topology.log(task.at.stage.index, task.shard), 0)
    heads.push({ task, head: head.fields })
  }
  return heads
}

function totals(heads: readonly { task: Task; head: HeadFields }[]): RunTotals {
  const sum = { events: 0, deadLetters: 0, late: 0, results: 0 }
  for (const { task, head } of heads) {
    if (task.split !== undefined) sum.events += head.counts.recordsIn
    sum.deadLetters += head.counts.deadLetters
    sum.late += head.counts.late
    sum.results += head.counts.results
  }
  return sum
}
