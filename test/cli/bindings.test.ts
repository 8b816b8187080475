import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bind } from '../../runtime/cli/bindings.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { print } from '../../runtime/connectors/print.ts'
import type { LogicalGraph, OperatorNode } from '../../runtime/graph/graph.ts'
import { directoryWith, millrace } from './cli.ts'

const directory = directoryWith({ 'a.ndjson': '', 'b.ndjson': '' })
const a = join(directory, 'a.ndjson')
const b = join(directory, 'b.ndjson')
const link = join(directory, 'link')
symlinkSync(b, link)

function graph(connector?: ReturnType<typeof fileSource>): LogicalGraph {
  const node = { index: 0, type: 'x', name: 'x', inputs: [], stateless: true, states: [] } satisfies OperatorNode
  const source = { schema: {} as never, timestamp: () => 0, watermark: {} as never }
  return {
    name: 'shop',
    options: {},
    nodes: [
      { ...node, source: { ...source, name: 'clicks', connector } },
      { ...node, source: { ...source, name: 'searches', connector: fileSource([a]) } },
      { ...node, sink: { name: 'trending', sink: print() } },
      { ...node, sink: { name: 'rankings', sink: print() } },
    ],
  }
}

const bound = (given: Partial<Parameters<typeof bind>[1]>, of = graph(fileSource([a]))) =>
  bind(of, { sources: [], sinks: [], out: undefined, ...given })

test('files take the place of named sources and sinks', async () => {
  const { sources, sinks, targets } = await bound({
    sources: [`clicks=${a}`, `clicks=${b}`],
    sinks: ['trending=t=1.ndjson'],
    out: 'results',
  })
  assert.deepEqual(await sources.clicks!.splits(), [a, b])
  assert.deepEqual(Object.keys(sources), ['clicks'])
  assert.deepEqual(targets, { trending: 't=1.ndjson', rankings: join('results', 'rankings.ndjson') })
  assert.deepEqual([sinks.trending!.kind, sinks.rankings!.kind], ['file', 'file'])
  assert.equal((await bound({ sinks: ['rankings=-'] })).sinks.rankings!.kind, 'print')
  assert.deepEqual((await bound({})).targets, {})
})

test('a place where nothing can be written is told before anything starts', { skip: process.platform !== 'linux' }, async () => {
  const message = /^[^\n]*: can't write to \/proc: nothing can be made there$/
  for (const given of [{ out: '/proc/x' }, { out: '/proc/x/y' }, { sinks: ['trending=/proc/x/y'] }])
    await assert.rejects(bound(given), { name: 'UsageError', message })
  const own = graph(fileSource([a]))
  const nodes = own.nodes.map(n => (n.sink?.name === 'trending' ? { ...n, sink: { ...n.sink, sink: fileSink('/proc/x/y') } } : n))
  await assert.rejects(bound({}, { ...own, nodes }), { name: 'UsageError', message: /^the sink trending: can't write to \/proc/ })
  const { code, err } = await millrace(['run', 'a.ts', '--state', '/proc/x/y'])
  assert.deepEqual([code, err], [2, "millrace: --state /proc/x/y: can't write to /proc: nothing can be made there\n"])
})

test('names and files that can not be are refused in one sentence', async () => {
  const refused: [() => Promise<unknown>, RegExp][] = [
    [() => bound({ sources: [`click=${a}`] }), /^shop has no source 'click': did you mean clicks\?$/],
    [() => bound({ sinks: ['trendign=x'] }), /^shop has no sink 'trendign': did you mean trending\?$/],
    [
      () => bound({ sources: ['clicks'] }),
      /^--source clicks: NAME=PATH is needed, where NAME is one of the pipeline's sources \(clicks and searches\)$/,
    ],
    [() => bound({ sinks: ['trending='] }), /^--sink trending=: NAME=PATH is needed/],
    [() => bound({ sources: ['clicks=none'] }), /^the source clicks: can't read none: there is no such file$/],
    [() => bound({ sources: [`clicks=${a}`, `clicks=${a}`] }), /was given .*a.ndjson twice/],
    [() => bound({ sinks: ['trending=x', 'trending=y'] }), /^the sink trending was given two files, x and y/],
    [() => bound({ sinks: ['trending=x', 'rankings=./x'] }), /^the sinks trending and rankings can't both write to/],
    [() => bound({ out: a }), /^--out .*a\.ndjson: .*a\.ndjson is a file, and a directory is needed there$/],
    [() => bound({ out: join(a, 'deep') }), /a\.ndjson is a file/],
    [() => bound({ sinks: ['trending=/dev/stdout'] }), /^--sink .*: \/dev\/stdout is no regular file \('-' is standard output\)/],
    [() => bound({ sinks: [`trending=${directory}`] }), /^--sink trending=.* is a directory: name a file$/],
    [() => bound({ sinks: ['trending=x.gz'] }), /write to x and compress that/],
    [
      () => bound({ sinks: [`trending=${a}`] }),
      /^the sink trending would overwrite .*a.ndjson, which the source searches reads: /,
    ],
    [
      () => bound({ sources: [`clicks=${b}`], sinks: [`trending=${link}`] }),
      /^the sink trending would overwrite .*the source clicks/,
    ],
    [() => bound({}, graph()), /^the source clicks has no connector: give it files with --source clicks=PATH$/],
  ]
  for (const [attempt, message] of refused) await assert.rejects(attempt(), { name: 'UsageError', message })
})
