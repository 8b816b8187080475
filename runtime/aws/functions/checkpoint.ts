import { decisionOf, decisions } from '../../checkpoint/decision.ts'
import { followLayouts } from '../../checkpoint/layouts.ts'
import { settleSinks } from '../../checkpoint/settle-sinks.ts'
import { settledParts } from '../../checkpoint/settled.ts'
import { type CheckpointStart, startCheckpoint } from '../../checkpoint/start.ts'
import { keepsState, materialiseStateless } from '../../checkpoint/stateless.ts'
import { collectParts, completeCheckpoint, failCheckpoint, recommitSinks } from '../../checkpoint/steps.ts'
import { MillraceError } from '../../errors.ts'
import { headOf } from '../../protocol/log.ts'
import type { Topology } from '../../stage/topology.ts'
import { chunked, eachConcurrently } from '../concurrency.ts'
import { lambdaCause } from '../lambda-cause.ts'
import { aheadOfParents } from './ahead-of-parents.ts'
import type { Environment, OpenRun } from './environment.ts'
import type { InvocationContext } from './event.ts'
import type { PartRef } from './materialise.ts'
import { type MaterialisedRef, readMaterialised } from './materialised.ts'
import { checkRun } from './own-run.ts'
import type { RescaleEvent, RescaleTargets } from './rescale-targets.ts'
import type { RestoredRun, RestoreEvent } from './restore-run.ts'
import { isWanted } from './wanted.ts'

/** What the other steps are given of the first one. */
export interface StartedCheckpoint extends CheckpointStart {
  readonly run: string
  /** What cut functions are to be called with: of each stage, its shards by the SHARDS_OF_CUT. */
  readonly sources: readonly { readonly stage: string; readonly shards: readonly number[] }[]
}

export type CheckpointEvent =
  | {
      readonly step: 'start'
      /** The schedule has it begin, or the one before it; false: somebody asked for it. */
      readonly scheduled?: boolean
    }
  | { readonly step: 'collect'; readonly start: StartedCheckpoint }
  | { readonly step: 'complete'; readonly start: StartedCheckpoint; readonly materialised: readonly MaterialisedRef[] }
  | {
      readonly step: 'fail'
      readonly start: StartedCheckpoint
      readonly missing?: readonly string[]
      /** Of the missing ones, those that never would have been through. */
      readonly never?: readonly string[]
      /** Why, if it is not for the missing ones. */
      readonly reason?: string
    }
  | RestoreEvent
  | RescaleEvent

export type CheckpointAnswer =
  | StartedCheckpoint
  | { readonly nothing: true }
  | {
      /** Those that a function has to fold: what has no state is done with the completion. */
      readonly parts?: readonly PartRef[]
      readonly missing: readonly string[]
      /** Of the missing ones, those that never will be through. */
      readonly never?: readonly string[]
    }
  | { readonly outcome: string; readonly reason?: string }
  | RestoredRun
  | RescaleTargets

const REASON_CHARS = 2_000
/** As many as one invocation cuts: a state machine's step for each would be most of what a checkpoint with many sources costs. */
const SHARDS_OF_CUT = 16

/** The controller's steps, as a state machine calls them. Each may run twice, late, or not at all. */
export function checkpointHandler(
  environment: Environment,
): (event: CheckpointEvent, context: InvocationContext) => Promise<CheckpointAnswer> {
  return async (event, context) => {
    environment.begin(context)
    await environment.renew()
    if (event.step === 'restore') return (await import('./restore-run.ts')).restoreRun(environment, event)
    const run = await environment.existingRun()
    if (run !== undefined) await followLayouts(environment.ports.log, run.topology)
    if (event.step === 'rescale') return (await import('./rescale-targets.ts')).rescaleTargets(environment, run, event)
    if (event.step === 'start') return start(run, event.scheduled === true, environment)
    const { topology } = checkRun(run, event.start)
    switch (event.step) {
      case 'collect':
        return collect(topology, event.start, environment)
      case 'complete':
        return complete(topology, event.start, event.materialised, environment)
      case 'fail':
        return fail(topology, event, environment)
      default:
        throw new MillraceError(`a checkpoint has no step '${(event as { step: string }).step}': deploy the stack again`)
    }
  }
}

/** Nothing runs when nothing flowed since the last one, or ever, and nothing is due. */
async function start(run: OpenRun | undefined, scheduled: boolean, environment: Environment): Promise<CheckpointAnswer> {
  if (run === undefined) return { nothing: true }
  const { topology } = run
  const { ports } = environment
  const decided = await decisions(ports.log, topology.run)
  const started = await startCheckpoint(topology, ports, decided)
  const last = decided.at(-1)
  if (!(await isWanted(environment, run, last, scheduled))) {
    await settleSinks(topology, last, ports)
    return { nothing: true }
  }
  const sources = topology.stages
    .filter(s => s.stage.source !== undefined)
    .flatMap(({ stage, parallelism }) => {
      const shards = Array.from({ length: parallelism }, (_, shard) => shard)
      return chunked(shards, SHARDS_OF_CUT).map(some => ({ stage: stage.id, shards: some }))
    })
  return { ...started, run: topology.run, sources }
}

async function collect(topology: Topology, started: StartedCheckpoint, environment: Environment): Promise<CheckpointAnswer> {
  const { checkpoint } = started
  const { ports, seen } = environment
  const { parts, missing, never } = await collectParts(topology, checkpoint, ports, log => headOf(ports.log, log, seen.heads))
  if (missing.length > 0) return { missing, ...(never.length > 0 && { never }) }
  const ahead = await aheadOfParents(environment, topology, parts)
  if (ahead.length > 0) return { missing: ahead, never: ahead }
  const settled = await settledParts(started, parts, ports)
  const open = parts.filter(part => !settled.has(part.log) && keepsState(topology, part))
  const refs = open.map(({ stage, shard, version }) => ({ stage: topology.stages[stage]!.stage.id, shard, version }))
  return { parts: refs, missing }
}

async function complete(
  topology: Topology,
  started: StartedCheckpoint,
  refs: readonly MaterialisedRef[],
  { ports, recorder, seen }: Environment,
): Promise<CheckpointAnswer> {
  const { checkpoint } = started
  const decided = await decisionOf(ports.log, topology.run, checkpoint)
  if (decided !== undefined) {
    // Called again, perhaps because it died between the decision and the sinks' commit.
    if (decided.outcome === 'complete') await recommitSinks(topology, ports)
    return { outcome: decided.outcome, reason: decided.reason }
  }
  const { parts, missing } = await collectParts(topology, checkpoint, ports, log => headOf(ports.log, log, seen.heads))
  if (missing.length > 0)
    throw new MillraceError(`checkpoint ${checkpoint} can't be completed: ${missing.join(', ')} did not ack`)
  const byLog = new Map([...(await settledParts(started, parts, ports)), ...(await readMaterialised(refs, ports))])
  // A function for each, as for those with something to fold, would be most of what a checkpoint with many sources costs.
  await eachConcurrently(
    parts.filter(part => !byLog.has(part.log) && !keepsState(topology, part)),
    async part => void byLog.set(part.log, await materialiseStateless(topology, started, part, ports)),
  )
  const materialised = parts.map(({ log }) => {
    const part = byLog.get(log)
    if (part === undefined) throw new MillraceError(`checkpoint ${checkpoint} can't be completed: ${log} was not materialised`)
    return part
  })
  const { outcome, reason, startedAt, decidedAt, bytes } = await completeCheckpoint(topology, started, parts, materialised, ports)
  if (outcome === 'complete') {
    recorder.measure('CheckpointDuration', decidedAt - startedAt)
    recorder.measure('CheckpointBytes', bytes)
    recorder.publish()
  }
  return { outcome, reason }
}

/** What is decided already stays: a checkpoint that failed behind its decision is complete. */
async function fail(
  topology: Topology,
  { start, missing = [], never = [], reason = 'it was aborted' }: Extract<CheckpointEvent, { step: 'fail' }>,
  { ports, recorder }: Environment,
): Promise<CheckpointAnswer> {
  const why =
    never.length > 0
      ? `${never.join(', ')} took over while barriers were on their way`
      : missing.length > 0
        ? undefined
        : lambdaCause(reason).slice(0, REASON_CHARS)
  const decision = await failCheckpoint(topology, start, missing, ports, why)
  if (decision.outcome === 'failed') {
    recorder.count('CheckpointsFailed', 1)
    recorder.publish()
  }
  return { outcome: decision.outcome, reason: decision.reason }
}
