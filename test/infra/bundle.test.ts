import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { BACKFILL_FUNCTIONS, bundle, FUNCTIONS } from '../../infra/bundle.ts'
import { InfraError, MillracePipeline } from '../../infra/index.ts'
import { fixture, resources } from './stacks.ts'

const KB = 1000
/** What a function loads when it starts cold. */
const LOADED_MAX = 400 * KB
/** All five, with what is loaded where it is needed, if ever: what takes over from a shard that was split or merged (15 KB), what takes a former run away. No cold start reads those. */
const BYTES_MAX = 540 * KB
const root = mkdtempSync(join(tmpdir(), 'millrace-bundle-'))
let directories = 0
const directory = () => {
  const path = join(root, `${directories++}`)
  mkdirSync(path)
  return path
}
const filesOf = (path: string) =>
  Object.fromEntries(readdirSync(path).map(name => [name, readFileSync(join(path, name), 'utf8')]))

test('each function of a pipeline loads at most 400 KB without the SDK', t => {
  const { bytes, sdkBytes, loaded } = bundle(fixture('greetings.ts'), directory())
  t.diagnostic(`${Math.round((bytes - sdkBytes) / KB)} KB, and ${Math.round(sdkBytes / KB)} KB of the SDK`)
  assert.ok(bytes - sdkBytes <= BYTES_MAX, `${bytes - sdkBytes} bytes`)
  for (const name of FUNCTIONS) assert.ok(loaded[name].bytes - loaded[name].sdkBytes <= LOADED_MAX, name)
})

test('each function of the recommendation pipeline, with its zod, loads at most 400 KB without the SDK; its Redis client where that is needed', t => {
  const { bytes, sdkBytes, loaded } = bundle('examples/recommendations/pipeline.ts', directory())
  t.diagnostic(`${Math.round((bytes - sdkBytes) / KB)} KB in all, and ${Math.round(sdkBytes / KB)} KB of the SDK`)
  for (const name of FUNCTIONS) {
    const own = loaded[name].bytes - loaded[name].sdkBytes
    t.diagnostic(`${name}: ${Math.round(own / KB)} KB, and ${Math.round(loaded[name].sdkBytes / KB)} KB of the SDK`)
    assert.ok(own <= LOADED_MAX, `${name}: ${own} bytes`)
  }
})

test('the function of a backfill loads at most 400 KB without the SDK; what reads CSV and Parquet where there is some', t => {
  const path = directory()
  const { bytes, sdkBytes, loaded } = bundle('examples/recommendations/pipeline.ts', path, undefined, BACKFILL_FUNCTIONS)
  const own = loaded.backfill.bytes - loaded.backfill.sdkBytes
  t.diagnostic(`${Math.round(own / KB)} KB, and ${Math.round((bytes - sdkBytes) / KB)} KB in all`)
  assert.ok(own <= LOADED_MAX, `${own} bytes`)
  assert.ok(bytes - sdkBytes > own + 50 * KB)
  assert.ok(!Object.values(filesOf(path)).some(text => text.includes('shardHour')), 'no prices')
})

test('a sink of millrace/aws brings the client of its service, and no others', () => {
  const [alerts, greetings] = [directory(), directory()]
  const [withSqs, without] = [bundle(fixture('alerts.ts'), alerts), bundle(fixture('greetings.ts'), greetings)]
  const has = (path: string, text: string) => Object.values(filesOf(path)).some(content => content.includes(text))
  assert.ok(has(alerts, 'SendMessageBatch') && !has(greetings, 'SendMessageBatch'))
  assert.ok(!has(alerts, 'PutEvents') && !has(alerts, 'PutRecordsCommand'))
  assert.ok(withSqs.bytes - without.bytes < 60 * KB, `${withSqs.bytes - without.bytes} bytes`)
})

test('equal inputs give equal bytes, wherever they go', () => {
  const [one, other] = [directory(), directory()]
  bundle(fixture('greetings.ts'), one)
  bundle(fixture('greetings.ts'), other)
  assert.deepEqual(filesOf(one), filesOf(other))
  assert.deepEqual(Object.keys(filesOf(one)).filter(name => FUNCTIONS.some(f => name === `${f}.mjs`)).length, FUNCTIONS.length)
  assert.ok(!Object.values(filesOf(one)).some(content => content.includes(process.cwd())), 'no paths of this machine')
})

test('a bundle is a module that Node loads, with its handler', async () => {
  const path = directory()
  bundle(fixture('greetings.ts'), path)
  Object.assign(process.env, { MILLRACE_PREFIX: 'p', MILLRACE_LOG_TABLE: 'l', MILLRACE_STATE_TABLE: 's', MILLRACE_BUCKET: 'b' })
  Object.assign(process.env, { AWS_REGION: 'eu-west-1', MILLRACE_OPTIONS: '{}', MILLRACE_SINKS: '{}' })
  process.env.MILLRACE_SOURCES = '{"events":{"kind":"kinesis","stream":"e"}}'
  for (const name of FUNCTIONS) {
    const module = await import(join(path, `${name}.mjs`))
    assert.equal(typeof module.handler, 'function', name)
  }
})

test('what esbuild refuses is told in one sentence, with file and line', () => {
  const path = directory()
  const entry = join(path, 'broken.ts')
  writeFileSync(entry, "import nothing from './nothing.ts'\nexport default nothing\n")
  assert.throws(
    () => bundle(entry, directory()),
    (error: Error) =>
      error instanceof InfraError &&
      /could not be bundled: .*broken\.ts:1: Could not resolve "\.\/nothing\.ts"/.test(error.message),
  )
})

test('pipelines of one app have each its own code', () => {
  const stack = new Stack(new App(), 'Stack')
  const bucket = new Bucket(stack, 'Bucket')
  const stream = new Stream(stack, 'Stream')
  for (const name of ['greetings', 'farewells'])
    new MillracePipeline(stack, name, {
      entry: fixture(`${name}.ts`),
      sources: { events: stream },
      sinks: { [name]: { bucket } },
    })
  const template = Template.fromStack(stack)
  const assets = Object.values(resources(template, 'AWS::Lambda::Function')).flatMap(({ Properties: p }) =>
    p.Environment?.Variables?.MILLRACE_PREFIX ? [[p.Environment.Variables.MILLRACE_PREFIX, p.Code.S3Key] as const] : [],
  )
  const keys = new Map(assets)
  assert.equal(keys.size, 2)
  assert.equal(new Set(keys.values()).size, 2)
  // All functions of one have the same.
  for (const [prefix, key] of assets) assert.equal(key, keys.get(prefix))
  const outdir = (stack.node.root as App).outdir
  const texts = readdirSync(outdir)
    .filter(name => name.startsWith('asset.'))
    .map(name => Object.values(filesOf(join(outdir, name))).join('\n'))
  assert.equal(texts.filter(text => text.includes('from greetings')).length, 1)
  assert.equal(texts.filter(text => text.includes('from farewells')).length, 1)
})
