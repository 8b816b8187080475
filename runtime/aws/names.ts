import { createHash } from 'node:crypto'

/** What Kinesis takes. */
const NAME_LENGTH_MAX = 128
const HASH_LENGTH = 10

/**
 * The Kinesis stream in front of a stage: `<prefix>.<stage>`. What a name can't hold, or would make two names alike, is replaced, and a hash of
 * the original tells the results apart. The run is no part of it: streams are made once, runs come and go, and frames say which one they are of.
 *
 * @example
 * stageStreamName('shop', 'window-1x2y3z') // 'shop.window-1x2y3z'
 */
export function stageStreamName(prefix: string, stageId: string): string {
  const plain = `${legal(prefix)}.${legal(stageId)}`
  if (plain === `${prefix}.${stageId}` && plain.length <= NAME_LENGTH_MAX) return plain
  const hash = createHash('sha256')
    .update(JSON.stringify([prefix, stageId]))
    .digest('hex')
    .slice(0, HASH_LENGTH)
  return `${plain.slice(0, NAME_LENGTH_MAX - HASH_LENGTH - 1)}-${hash}`
}

/** From the stream names of a run (`<run>/<stage>`, Topology.stream) to those of Kinesis. */
export function stageStreams(prefix: string): (stream: string) => string {
  return stream => stageStreamName(prefix, stream.slice(stream.indexOf('/') + 1))
}

function legal(part: string): string {
  return part.replace(/[^A-Za-z0-9_-]/g, '-')
}

/** In a pipeline's bucket: copies of what a run is to start from, as long as that takes. */
export const SNAPSHOT_COPIES = 'restores/'
