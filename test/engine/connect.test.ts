import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { planPhysical } from '../../runtime/graph/planner.ts'
import { monotonous, ndjson, pipeline, print, sideOutput } from '../../runtime/index.ts'

const Order = z.object({ user: z.string(), price: z.number(), at: z.number() })
const Payment = z.object({ payer: z.string(), sum: z.number(), at: z.number() })
const ORDERS = Array.from({ length: 300 }, (_, i) => ({ user: `u${i % 7}`, price: i, at: i * 10 }))
const PAYMENTS = Array.from({ length: 200 }, (_, i) => ({ payer: `u${i % 5}`, sum: i, at: i * 15 }))

/** Orders and payments connected without a key; with a parallelism of its own, or not. */
function ledger(own?: number) {
  const app = pipeline('ledger')
  const orders = app.source('orders', ndjson(Order), { time: o => o.at, watermark: monotonous() })
  const payments = app.source('payments', ndjson(Payment), { time: p => p.at, watermark: monotonous() })
  const large = sideOutput<{ who: string; at: number }>('large')
  const moves = orders.connect(payments).process({
    onFirst: (order, ctx) => {
      if (order.price >= 290) ctx.output(large, { who: order.user, at: ctx.timestamp })
      return [{ user: order.user, change: -order.price }]
    },
    *onSecond(payment, ctx) {
      if (payment.sum >= 190) ctx.output(large, { who: payment.payer, at: ctx.timestamp })
      yield { user: payment.payer, change: payment.sum }
    },
  })
  if (own !== undefined) moves.parallelism(own)
  moves.sideOutput(large).sink('large', print())
  moves
    .keyBy('user')
    .process({ onRecord: ({ change }, { key }) => [{ key, change }] })
    .sink('moves', print())
  return app
}

test('two streams without a key meet in one function, wherever it runs', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'))
  const file = (name: string, rows: readonly unknown[]) => {
    writeFileSync(join(dir, name), rows.map(row => `${JSON.stringify(row)}\n`).join(''))
    return fileSource([join(dir, name)])
  }
  const sources = { orders: file('orders', ORDERS), payments: file('payments', PAYMENTS) }
  const sorted = (rows: readonly unknown[]) => rows.map(row => JSON.stringify(row)).sort()
  const moves = sorted([
    ...ORDERS.map(o => ({ key: o.user, change: -o.price })),
    ...PAYMENTS.map(p => ({ key: p.payer, change: p.sum })),
  ])
  const large = sorted([
    ...ORDERS.filter(o => o.price >= 290).map(o => ({ who: o.user, at: o.at })),
    ...PAYMENTS.filter(p => p.sum >= 190).map(p => ({ who: p.payer, at: p.at })),
  ])
  const runs: [name: string, app: ReturnType<typeof ledger>, options: object][] = [
    ['copies', ledger(), {}],
    ['parallel', ledger(), { parallelism: 4, batchSize: 7 }],
    ['unchained', ledger(), { chaining: false, parallelism: 2 }],
    ['own', ledger(3), { parallelism: 2 }],
    ['durable', ledger(2), { state: join(dir, 'state'), checkpointMs: 20, batchSize: 20 }],
  ]
  for (const [name, app, options] of runs) {
    const path = (sink: string) => join(dir, `${name}-${sink}`)
    const sinks = { moves: fileSink(path('moves')), large: fileSink(path('large')) }
    const { outcome } = await runEmbedded(app.graph(), { sources, sinks, ...options })
    assert.equal(outcome, 'finished')
    const lines = (sink: string) => readFileSync(path(sink), 'utf8').trim().split('\n').sort()
    assert.deepEqual(lines('moves'), moves, name)
    assert.deepEqual(lines('large'), large, name)
  }
})

test('it is where its records are, and costs no shuffle', () => {
  const { stages } = planPhysical(ledger().graph())
  const places = stages.filter(stage => stage.nodes.some(node => node.type === 'connect'))
  assert.deepEqual(
    places.map(stage => stage.source?.name),
    ['orders', 'payments'],
  )
})
