import assert from 'node:assert/strict'
import type { Backing } from '../../runtime/aws/functions/environment.ts'
import type { SourceSetting } from '../../runtime/aws/functions/settings.ts'
import type { Objects } from '../../runtime/aws/objects.ts'
import { formatPosition, parsePosition, parseShard } from '../../runtime/aws/position.ts'
import { blobSink } from '../../runtime/connectors/blob-sink.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { formatPosition as embeddedPosition } from '../../runtime/embedded/position.ts'
import type { Pipeline } from '../../runtime/index.ts'
import type { Blobs, Clearing, Ports } from '../../runtime/ports.ts'
import type { Topology } from '../../runtime/stage/topology.ts'
import { openStageStreams, type SplittableStreams } from './stage-streams.ts'
import { environment, shardId, type World } from './world.ts'

export interface EmbeddedWorld extends World {
  readonly ports: Ports
  readonly clearing: Clearing
  readonly topology: Topology
  /** The streams between stages. */
  readonly between: SplittableStreams
  /** What readers of a sink see. */
  rows(sink: string): Promise<any[]>
}

export const NO_OBJECTS: Objects = { read: async ({ key }) => assert.fail(`${key} was read`) }

/** Functions on in-memory ports: a source's stream of Kinesis is one of them. */
export async function embeddedWorld(
  app: Pipeline,
  input: readonly (readonly string[])[],
  parallelism: number,
  source: SourceSetting = { kind: 'kinesis', stream: 'users-own' },
  objects: Objects = NO_OBJECTS,
): Promise<EmbeddedWorld> {
  const embedded = await openEmbedded()
  const between = openStageStreams(embedded.streams, 'test')
  const ports = { ...embedded, streams: between.streams }
  for (const [shard, records] of input.entries())
    for (const r of records) await ports.streams.put('users-own', shard, Buffer.from(r))
  const names = app.graph().nodes.flatMap(n => n.sink?.name ?? [])
  const back = (): Backing => ({
    ports,
    stageStreams: between.source,
    sourceStreams: {
      listShards: async () => input.map((_, i) => ({ id: shardId(i), parents: [], closed: false })),
      isReadToEnd: async () => false,
      async read(stream, shard, after, limit) {
        const from = after === '' ? undefined : embeddedPosition(Number(parsePosition(after)))
        const records = await ports.streams.poll(stream, parseShard(shard), from, limit)
        return { records: records.map(r => ({ ...r, seq: formatPosition(r.seq) })), isAll: records.length < limit }
      },
    },
    objects,
    sinks: Object.fromEntries(names.map(name => [name, blobSink(ports.blobs, `results/${name}`, name)])),
  })
  const world: World = {
    app,
    back,
    settings: {
      prefix: 'test',
      tables: { log: 'log', state: 'state' },
      bucket: 'bucket',
      options: { parallelism },
      sources: { visits: source },
      sinks: {},
      timeoutMs: undefined,
    },
    poll: (stream, shard, after, limit) => ports.streams.poll(stream, shard, after, limit),
  }
  const { topology } = await environment(world).run()
  for (const { stage, parallelism } of topology.stages)
    if (stage.source === undefined) between.make(topology.stream(stage.index), parallelism)
  return {
    ...world,
    ports,
    clearing: ports.clearing,
    between,
    topology,
    rows: sink => visibleRows(ports.blobs, `results/${sink}/`),
  }
}

export async function visibleRows(blobs: Blobs, prefix: string): Promise<any[]> {
  const rows: any[] = []
  for (const key of await blobs.list(prefix)) {
    const text = new TextDecoder().decode(await blobs.get(key))
    rows.push(
      ...text
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line)),
    )
  }
  return rows
}
