/**
 * The frame codec alone: encode with zstd, decode to objects, one core. Prints records/s and bytes/record for three kinds of
 * records. It does not measure the streams, nor user code, nor garbage collection of records that live long.
 *
 * Run: npx node bench/frames.ts [seconds per measurement, default 1]
 */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { type FrameHeader, FrameWriter, readFrame } from '../runtime/protocol/frame.ts'

interface Bid {
  type: string
  auction: number
  bidder: number
  price: number
  channel: string
  url: string
  dateTime: number
  extra: string
}

/** Raw bytes at which the stages cut a frame. */
const FRAME_BYTES = 256 * 1024
const DATA = new URL('../../shared/reference/data/nexmark-small.ndjson.gz', import.meta.url)
const header: FrameHeader = { run: 'bench', producer: 1, version: 1, attempt: 'a', index: 1, predVersion: 0, predIndex: 0 }
const seconds = Number(process.argv[2] ?? 1)

/** Bids of the reference data, or ones drawn like them (10 ms apart, log-uniform prices, a hot auction). */
function loadBids(): Bid[] {
  if (existsSync(DATA)) {
    const lines = gunzipSync(readFileSync(DATA)).toString().trim().split('\n')
    return lines.map(line => JSON.parse(line) as Bid).filter(event => event.type === 'bid')
  }
  return Array.from({ length: 20_000 }, (_, i) => ({
    type: 'bid',
    auction: 1000 + Math.floor(i / 15) - (i % 2) * Math.floor(Math.random() * 100),
    bidder: 1000 + Math.floor(Math.random() * 500),
    price: Math.round(10 ** (Math.random() * 6) * 100),
    channel: `channel-${i % 1000}`,
    url: `https://www.nexmark.com/${Math.random().toString(36).slice(2, 7)}/item.htm?query=1`,
    dateTime: 1_704_153_500_000 + i * 10,
    extra: Math.random().toString(36).repeat(5),
  }))
}

type Row = Record<string, unknown>

function encode(rows: readonly Row[], watermarks: boolean, writer: FrameWriter): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (const row of rows) {
    writer.record(0, row, row.dateTime as number, row.auction)
    if (watermarks) writer.watermark(row.dateTime as number)
    if (writer.approximateBytes >= FRAME_BYTES) frames.push(writer.finish(header))
  }
  if (writer.count > 0) frames.push(writer.finish(header))
  return frames
}

function decode(frames: readonly Uint8Array[]): number {
  let sum = 0
  for (const data of frames) {
    const cursor = readFrame(data).reader()
    for (let type = cursor.next(); type >= 0; type = cursor.next())
      if (type === 0) sum += (cursor.value as { price: number }).price
  }
  return sum
}

/** Calls a second of `work` that handle `rows` each, after a warm-up. */
function rate(rows: number, work: () => void): number {
  for (const end = performance.now() + 300; performance.now() < end; ) work()
  const start = performance.now()
  let calls = 0
  while (performance.now() - start < seconds * 1000) {
    work()
    calls++
  }
  return (calls * rows * 1000) / (performance.now() - start)
}

function measure(name: string, rows: readonly Row[], watermarks = false): void {
  const writer = new FrameWriter()
  const frames = encode(rows, watermarks, writer)
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0) / rows.length
  const encoded = rate(rows.length, () => encode(rows, watermarks, writer))
  const decoded = rate(rows.length, () => decode(frames))
  const both = 1 / (1 / encoded + 1 / decoded)
  const million = (n: number) => `${(n / 1e6).toFixed(2)} M/s`.padStart(11)
  console.log(
    `${name.padEnd(30)}${bytes.toFixed(2).padStart(8)} B${million(encoded)}${million(decoded)}${million(both)}${String(frames.length).padStart(7)}`,
  )
}

const bids = loadBids()
const repeated = Array.from({ length: 6 }, (_, round) =>
  bids.map(bid => ({ ...bid, dateTime: bid.dateTime + round * 200_000 })),
).flat()
const q5 = repeated.map(({ auction, price, dateTime }) => ({ auction, price, dateTime }))
console.log(`${repeated.length} records, ${existsSync(DATA) ? 'reference data' : 'generated data'}, node ${process.version}`)
console.log(
  `${'records'.padEnd(30)}${'bytes'.padStart(10)}${'encode'.padStart(11)}${'decode'.padStart(11)}${'both'.padStart(11)} frames`,
)
measure('q5: auction, price, dateTime', q5)
measure('q5, a watermark after each', q5, true)
measure('whole bids, 4 strings', repeated as unknown as Row[])
measure(
  'nested: array of 3 objects',
  q5.map(row => ({ ...row, items: [1, 2, 3].map(rank => ({ rank, score: row.price / rank })) })),
)
