import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duration, Stack } from 'aws-cdk-lib'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { InfraError, MillracePipeline, type MillracePipelineProps } from '../../infra/index.ts'
import { plainApp, SHOP } from './stacks.ts'

const directory = mkdtempSync(join(tmpdir(), 'millrace-infra-'))
let files = 0
function file(content: string): string {
  const path = join(directory, `${files++}.ts`)
  writeFileSync(path, content)
  return path
}

type Props = Partial<MillracePipelineProps>

/** What is said of a pipeline that is the shop but for `props`. */
function refusal(props: Props | ((stack: Stack, bucket: Bucket) => Props)): string {
  const stack = new Stack(plainApp(), 'Stack')
  const bucket = new Bucket(stack, 'Results')
  const stream = new Stream(stack, 'Stream')
  const good: MillracePipelineProps = {
    entry: SHOP,
    sources: { clicks: stream, orders: stream },
    sinks: { pages: { bucket }, buyers: { bucket } },
  }
  try {
    new MillracePipeline(stack, 'Shop', { ...good, ...(typeof props === 'function' ? props(stack, bucket) : props) })
  } catch (error) {
    assert.ok(error instanceof InfraError, (error as Error).stack)
    assert.doesNotMatch(error.message, /\n/)
    return error.message
  }
  throw new assert.AssertionError({ message: 'it was accepted' })
}

test('files that are no pipelines', () => {
  assert.match(refusal({ entry: 'shop.ts' }), /^entry: there is no file .*shop\.ts; the path is relative to where cdk runs$/)
  assert.match(refusal({ entry: file('export const app = 1') }), /doesn't export a pipeline: end it with `export default app`/)
  assert.match(refusal({ entry: file('throw new Error("no database")') }), /threw when it was imported: no database$/)
  assert.match(refusal({ entry: file('export default await Promise.resolve(1)') }), /waits at its top level/)
  assert.match(refusal({ entry: file("import './nowhere.ts'") }), /imports something that can't be found/)
  assert.match(refusal({ entry: file('export default {') }), /has a syntax error/)
})

test('sources and sinks that do not fit', () => {
  assert.equal(
    refusal(stack => ({ sources: { clicks: new Stream(stack, 'S') } })),
    "shop's source 'orders' has no stream: name one in sources, as in `sources: { \"orders\": stream }`",
  )
  assert.equal(
    refusal(stack => ({ sources: { clicks: new Stream(stack, 'S'), order: new Stream(stack, 'T') } })),
    "shop has no source 'order': its sources are clicks, orders",
  )
  assert.match(
    refusal((_, bucket) => ({ sinks: { pages: { bucket } } })),
    /^shop's sink 'buyers' writes .*buyers\.ndjson, which a function has no place for: give it a bucket, as in/,
  )
  assert.equal(
    refusal((_, bucket) => ({ sinks: { page: { bucket } } })),
    "shop has no sink 'page': its sinks are pages, buyers",
  )
  assert.equal(
    refusal((_, bucket) => ({ sinks: { pages: { bucket, prefix: 'out' }, buyers: { bucket } } })),
    "sinks.pages.prefix is 'out': it has to end in '/', or be left out",
  )
})

test('stages that there are not, and numbers that can not be', () => {
  assert.equal(
    refusal({ stages: { page: { memorySize: 512 } } }),
    "stages: shop has no stage 'page': its stages are source-clicks, sessions, pages, source-orders, buyers",
  )
  assert.match(refusal({ stages: { page: { parallelism: 2 } } }), /there is no operator 'page': there is .*pages/)
  assert.match(refusal({ stages: { 'source-clicks': { parallelism: 2 } } }), /source-clicks can't be set: it is a source/)
  assert.equal(refusal({ parallelism: 0 }), 'parallelism is 0: a whole number from 1 on is needed')
  assert.match(refusal({ stages: { pages: { parallelism: 1000 } } }), /there are only 128 key groups/)
  assert.equal(refusal({ memorySize: 64 }), 'memorySize is 64: a whole number from 128 to 10240 is needed')
  assert.equal(
    refusal({ stages: { pages: { memorySize: 1.5 } } }),
    'stages.pages.memorySize is 1.5: a whole number from 128 to 10240 is needed',
  )
  assert.equal(refusal({ timeout: Duration.minutes(16) }), 'timeout is 960 s: whole seconds from 1 to 900 are needed')
  assert.equal(refusal({ batching: { size: 20_000 } }), 'batching.size is 20000: a whole number from 1 to 10000 is needed')
  assert.equal(
    refusal({ stages: { pages: { batching: { window: Duration.millis(500) } } } }),
    'stages.pages.batching.window is 0.5 s: whole seconds from 0 to 300 are needed',
  )
})

test('checkpoint intervals and time-outs that can not be', () => {
  for (const interval of [Duration.seconds(90), Duration.millis(500), Duration.millis(1500)])
    assert.match(
      refusal({ checkpointInterval: interval }),
      /^checkpointInterval: .* is neither whole seconds below a minute nor whole minutes/,
    )
  assert.equal(
    refusal({ checkpointTimeout: Duration.hours(2) }),
    'checkpointTimeout is 7200 s: whole seconds from 1 to 900 are needed',
  )
  assert.match(
    refusal({ replacedRunRetention: Duration.days(400) }),
    /^replacedRunRetention is 34560000 s: whole seconds from 3600 to 31536000/,
  )
})

test('parts of a VPC without one', () => {
  assert.match(
    refusal(stack => ({ securityGroups: [new SecurityGroup(stack, 'G', { vpc: new Vpc(stack, 'V') })] })),
    /^vpcSubnets and securityGroups are of a VPC: name it in vpc$/,
  )
})

test('names that the functions use themselves', () => {
  assert.equal(
    refusal({ environment: { MILLRACE_BUCKET: 'mine' } }),
    'environment: MILLRACE_BUCKET is one of the names that the functions use themselves: choose another',
  )
  assert.match(refusal({ environment: { AWS_REGION: 'eu-west-1' } }), /AWS_REGION is one of the names/)
})

test('options that there are not, or that are left out, which tsx would let pass', () => {
  const wrong = (props: object) => refusal(props as Props)
  assert.equal(wrong({ paralelism: 2 }), "MillracePipeline has no option 'paralelism': did you mean parallelism?")
  assert.equal(
    wrong({ stages: { pages: { memorysize: 512 } } }),
    "stages.pages has no option 'memorysize': did you mean memorySize?",
  )
  assert.equal(wrong({ batching: { sise: 5 } }), "batching has no option 'sise': did you mean size?")
  assert.equal(wrong({ sinks: { pages: { bukket: 1 } } }), "sinks.pages has no option 'bukket': did you mean bucket?")
  assert.match(wrong({ sinks: { pages: {} } }), /^sinks\.pages\.bucket is missing/)
  const source = (clicks: unknown) => wrong({ sources: { clicks } })
  assert.match(source('clicks'), /^sources\.clicks is 'clicks': give it a stream, as in `Stream\.fromStreamArn/)
  assert.match(source(undefined), /^sources\.clicks is undefined: give it a stream/)
  assert.match(source({}), /^sources\.clicks is empty: give it one of/)
  assert.match(source({ changes: {}, objects: {} }), /^sources\.clicks reads several things/)
  assert.equal(source({ kafak: {} }), "sources.clicks has no option 'kafak': did you mean kafka?")
  assert.equal(source({ kafka: { topics: 'x' } }), "sources.clicks.kafka has no option 'topics': did you mean topic?")
  assert.equal(source({ objects: { prefix: 'a/' } }), 'sources.clicks.objects.bucket is missing: give it the bucket')
  assert.equal(source({ changes: {} }), 'sources.clicks.changes.table is missing: give it the table')
  assert.equal(source({ kafka: undefined }), 'sources.clicks.kafka is undefined: say what to read')
  assert.equal(
    wrong({ sources: undefined }),
    'sources is missing: say what each source reads, as in `sources: { views: stream }`',
  )
  assert.equal(wrong({ entry: undefined }), "entry is missing: name the pipeline's file, as in `entry: 'views.ts'`")
})
