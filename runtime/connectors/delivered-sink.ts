import { createHash, randomBytes } from 'node:crypto'
import { pack, unpack } from '../state/codec.ts'
import { atOnce } from './at-once.ts'
import { checkDelivery, type DeliveryGuarantee } from './delivery.ts'
import { failingAs } from './error.ts'
import type { Outgoing, Service } from './service.ts'
import type { Sink, SinkContext, SinkStaging, SinkWriter } from './sink.ts'
import { StagedChain, type StagedName } from './staged-chain.ts'

/** How far one subtask has staged, as its commit item keeps it. */
type State = { readonly last: StagedName; readonly count: number }

/** What one commit stages: messages `first`, `first` + 1, … of its writer. */
interface Batch<M> {
  readonly first: number
  readonly messages: readonly M[]
}

type Origin = Pick<Outgoing<unknown>, 'writer' | 'sink'>

const SUBTASKS_AT_ONCE = 4
/** Sent at a time, unless one commit had more: behind that it is marked how far it has come. */
const SEND_MESSAGES = 5_000
const SEND_BYTES = 8 << 20
const WRITER_CHARS = 24
const ATTEMPT_BYTES = 6

/**
 * A sink that sends to a service, with the guarantee that is asked for.
 *
 * For exactly once, what each commit writes is staged in a chain (staged-chain.ts), and only what won is in the chain from a checkpoint's cut. A record's id is its writer and its
 * number among all that this writer has committed: whichever checkpoint's commit sends it, and however often, it is the same, also if that of n was interrupted and
 * that of n + 1 does it instead.
 */
export function deliveredSink<T, M>(service: Service<T, M>, delivery: DeliveryGuarantee = 'exactly-once'): Sink<T> {
  const staged = checkDelivery(delivery, service.where) === 'exactly-once'
  if (!staged)
    return {
      kind: service.kind,
      async open(context) {
        service.check()
        return sendingWriter(service, context)
      },
      describe: () => `${service.describe()}, at least once`,
    }
  const publish: Sink<T>['commit'] = (run, _checkpoint, parts, context) =>
    failingAs(service.where, async () => {
      service.check()
      const lasts = parts.flatMap((part, subtask) => (part === undefined ? [] : [{ subtask, last: (part as State).last }]))
      await atOnce(context.inOrder ? 1 : SUBTASKS_AT_ONCE, lasts, ({ subtask, last }) =>
        publishChain(service, chainOf(service, context, subtask), originOf(run, context.operatorId, subtask), last),
      )
    })
  return {
    kind: service.kind,
    async open(context, state) {
      service.check()
      return stagingWriter(service, context, state as State | undefined)
    },
    commit: publish,
    async restore(run, checkpoint, parts, context) {
      await publish(run, checkpoint, parts, context)
      // What was staged later stays with the old run, which may go on if this one is a fork. The new one has ids of its own.
      return Array.from({ length: context.parallelism }, () => undefined)
    },
    describe: () => service.describe(),
  }
}

/** Sends with each flush. Ids differ from one attempt to another, since the same one could stand for something else there. */
function sendingWriter<T, M>(service: Service<T, M>, context: SinkContext): SinkWriter<T> {
  const origin = originOf(context.run, context.operatorId, context.subtask)
  const attempt = randomBytes(ATTEMPT_BYTES).toString('hex')
  let count = 0
  let messages: { readonly id: string; readonly message: M }[] = []
  return {
    write(value, record) {
      const id = `${origin.writer}-${attempt}-${++count}`
      messages.push({ id, message: service.message(value, id, record) })
    },
    async flush({ version }) {
      const outgoing = messages.map(m => ({ ...m, ...origin, version }))
      messages = []
      if (outgoing.length > 0) await failingAs(service.where, () => service.send(outgoing))
      return undefined
    },
    async close() {},
  }
}

function stagingWriter<T, M>(service: Service<T, M>, context: SinkContext, committed: State | undefined): SinkWriter<T> {
  const { writer } = originOf(context.run, context.operatorId, context.subtask)
  const chain = chainOf(service, context, context.subtask)
  let { last, count } = committed ?? { last: '', count: 0 }
  let messages: M[] = []
  return {
    write(value, record) {
      messages.push(service.message(value, `${writer}-${count + messages.length + 1}`, record))
    },
    async flush({ version, attempt }): Promise<State> {
      if (messages.length === 0) return { last, count }
      const bytes = pack({ first: count + 1, messages } satisfies Batch<M>)
      count += messages.length
      messages = []
      last = await failingAs(service.where, () => chain.stage(version, attempt, last, bytes))
      return { last, count }
    },
    async close() {},
  }
}

async function publishChain<T, M>(service: Service<T, M>, chain: StagedChain, origin: Origin, last: StagedName): Promise<void> {
  await chain.publish(last, async (all, passed) => {
    let messages: Outgoing<M>[] = []
    let size = 0
    for await (const { staged, bytes } of chain.read(all)) {
      const batch = unpack<Batch<M>>(bytes)
      const version = Number.parseInt(staged.name, 10)
      for (const [i, message] of batch.messages.entries())
        messages.push({ ...origin, id: `${origin.writer}-${batch.first + i}`, message, version })
      size += bytes.length
      if (messages.length < SEND_MESSAGES && size < SEND_BYTES) continue
      await service.send(messages)
      await passed(staged)
      messages = []
      size = 0
    }
    if (messages.length > 0) await service.send(messages)
  })
}

function chainOf(service: Service<any, any>, { staging }: SinkStaging, subtask: number): StagedChain {
  return new StagedChain(staging, `${subtask}/`, service.where)
}

function originOf(run: string, operatorId: string, subtask: number): Origin {
  return { writer: hashOf([run, operatorId, subtask]), sink: hashOf([run, operatorId]) }
}

function hashOf(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, WRITER_CHARS)
}
