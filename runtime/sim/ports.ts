import type { StartedCheckpoint } from '../aws/functions/checkpoint.ts'
import type { MaterialiseEvent } from '../aws/functions/materialise.ts'
import type { Ports } from '../ports.ts'
import { DeadlineError } from '../protocol/errors.ts'
import { type Bucket, simBlobs } from './blobs.ts'
import type { Lineage } from './lineage.ts'
import { type LogTable, openLogTable, simLog } from './log.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { type StateTable, type StoredItem, simStore } from './store.ts'
import { type Kinesis, openKinesis, simStreams } from './streams.ts'
import type { View } from './views.ts'

/** What the simulated services hold. */
export interface Services {
  readonly log: LogTable
  readonly state: StateTable
  readonly bucket: Bucket
  /** Called for each blob before it is written. */
  onBlob: ((key: string) => void) | undefined
  /** Before it is deleted. */
  onDelete: ((key: string) => void) | undefined
  /** For each item of the table that is swept. */
  onSweep: ((item: StoredItem, now: number) => void) | undefined
  /** Called when somebody asks for a checkpoint; what it gives, when there is an answer. */
  onStart: (() => (answer: { readonly nothing?: boolean }) => void) | undefined
  /** Called when a step of a checkpoint begins; what it gives, when it answers. */
  onStep: ((start: StartedCheckpoint) => (answer: { readonly outcome?: string }) => void) | undefined
  /** Called when a fold of a subtask's state begins. */
  onFold: ((event: MaterialiseEvent) => void) | undefined
  /** Called for each environment that begins. */
  openView: ((sandbox: Sandbox) => View) | undefined
  readonly kinesis: Kinesis
  /** Shards of the sources' streams, by stream. */
  readonly sources: Map<string, Lineage>
  /** And of those between stages, by stage. */
  readonly between: Map<string, Lineage>
  /** How many ids were drawn. */
  ids: number
}

export function openServices(simulation: Simulation): Services {
  return {
    log: openLogTable(),
    state: new Map(),
    bucket: new Map(),
    onBlob: undefined,
    onDelete: undefined,
    onSweep: undefined,
    onStart: undefined,
    onStep: undefined,
    onFold: undefined,
    openView: undefined,
    kinesis: openKinesis(() => simulation.dice.below(3)),
    sources: new Map(),
    between: new Map(),
    ids: 0,
  }
}

/** The same once more, from where it stands. */
export function copyServices({ log, state, bucket, kinesis, sources, between, ids }: Services): Services {
  const copies = (lineages: ReadonlyMap<string, Lineage>) =>
    new Map([...lineages].map(([stream, lineage]) => [stream, lineage.copy()]))
  return {
    log: log.copy(),
    state: new Map([...state].map(([pk, items]) => [pk, new Map(items)])),
    bucket: new Map(bucket),
    onBlob: undefined,
    onDelete: undefined,
    onSweep: undefined,
    onStart: undefined,
    onStep: undefined,
    onFold: undefined,
    openView: undefined,
    kinesis: kinesis.copy(),
    sources: copies(sources),
    between: copies(between),
    ids,
  }
}

/** The ports of one environment. `deadline`: nothing is sent after it, as on AWS (aws/call.ts). */
export function openSimPorts(
  simulation: Simulation,
  services: Services,
  environment: Sandbox,
  deadline: () => number | undefined = () => undefined,
): Ports {
  const { dice } = simulation
  const { clock, call } = environment
  const view = services.openView?.(environment)
  const sandbox: Pick<Sandbox, 'call'> = {
    async call(operation) {
      const end = deadline()
      if (end !== undefined && clock.now() >= end) throw new DeadlineError(`no time is left for ${operation.name}`)
      return call(view === undefined ? operation : view(operation))
    },
  }
  return {
    streams: simStreams(simulation, services, sandbox),
    log: simLog(simulation, services.log, sandbox),
    store: simStore(simulation, services, sandbox),
    blobs: simBlobs(services, sandbox),
    clock,
    random: {
      // Runs are in order by what their ids begin with.
      id: () =>
        `${(++services.ids).toString(36)}-${Math.floor(dice.fraction() * 36 ** 7)
          .toString(36)
          .padStart(7, '0')}`,
      fraction: dice.fraction,
    },
  }
}
