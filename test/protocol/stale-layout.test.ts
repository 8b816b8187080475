import assert from 'node:assert/strict'
import test from 'node:test'
import * as z from 'zod'
import { inherit } from '../../runtime/checkpoint/inherit.ts'
import { materialise } from '../../runtime/checkpoint/materialise.ts'
import { closable } from '../../runtime/embedded/open-shards.ts'
import { boundedOutOfOrderness, ndjson, pipeline, print, value } from '../../runtime/index.ts'
import { relaid } from '../../runtime/stage/layout.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { harness } from '../engine/harness.ts'

const Event = z.object({ user: z.string(), shop: z.string(), at: z.number(), sends: z.boolean() })

/** Its first keyed stage passes on what is to be sent, its second one counts it. */
function counted() {
  const app = pipeline('counted')
  app
    .source('events', ndjson(Event), { time: e => e.at, watermark: boundedOutOfOrderness('1s') })
    .keyBy('user')
    .flatMap(e => (e.sends ? [e] : []))
    .keyBy('shop')
    .process({
      state: { n: value<number>() },
      onRecord: (_, { state }) => {
        state.n.set((state.n.get() ?? 0) + 1)
        return [state.n.get()]
      },
    })
    .sink('out', print())
  return app
}

const [MIDDLE, LAST] = [1, 2]

test("an environment that doesn't know of a split yet, and sends nothing, leaves what was sent to the children in the head (F3)", async () => {
  // Of two splits one has said nothing yet: there is no watermark that would go to the closed shard.
  const h = await harness(counted(), { splits: 2, parallelism: 2 })
  const { topology } = h
  const streams = closable(h.ports.streams)
  const ports = { ...h.ports, streams }
  const source = h.environment(0, 0, { ports })
  let given = 0
  const read = (sends: boolean, known: Topology) => {
    const record = JSON.stringify({ user: 'u', shop: 's', at: 1000 + given++, sends })
    const batch = { records: [record], after: () => ({ index: given }), next: { index: given }, done: false }
    return source.deliverSource(() => batch).then(() => deliverAll(MIDDLE, known))
  }
  /** To cold environments that know of these shards. */
  const deliverAll = async (stage: number, known: Topology) => {
    for (const { shard, children } of known.layout(stage)) {
      const cold = h.environment(stage, shard, { ports, topology: known })
      const { working } = await cold.ready()
      const stream = topology.stream(stage)
      await cold.deliver(await streams.poll(stream, shard, working.position.seq || undefined, 100))
      if (children !== undefined) await cold.seal(children, position => streams.ended(stream, shard, position))
    }
  }
  const stale = h.newTopology()
  await read(true, topology)
  const layout = relaid(topology.layout(LAST), [0, 32, 64, 96], topology.plan.options.keyGroups)!
  for (const shard of [0, 1]) streams.close(topology.stream(LAST), shard)
  topology.adopt(LAST, layout)
  await deliverAll(LAST, h.topology)
  const at = topology.stages[LAST]!
  for (const shard of [2, 3, 4, 5])
    assert.ok(await inherit(topology, at, shard, ports, (parent, seal) => materialise(topology, at, parent, seal, ports)))
  await read(true, topology)
  await read(false, stale)
  await read(true, topology)
  await deliverAll(LAST, topology)
  assert.deepEqual(h.results(), [1, 2, 3])
})
