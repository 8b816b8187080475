/**
 * The bytes of format version 1 (docs/frame-format.md), and bodies that nobody would write, under a right checksum.
 * A change that breaks a fixture breaks frames that are in flight and in retention: it needs a new format version.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readPrefix, sealFrame } from '../../runtime/protocol/frame/header.ts'
import { ENTRY_RECORD, FrameError, FrameWriter, readFrame, readHeader } from '../../runtime/protocol/frame.ts'

const header = { run: 'r1', producer: 300, version: 2, attempt: 'x', index: 1, predVersion: 1, predIndex: 4 }

function seal(body: readonly number[] | Uint8Array, count: number): Uint8Array {
  const bytes = Uint8Array.from(body)
  return sealFrame(header, bytes, { bytes: bytes.length, count, compressed: false })
}

/** Three shapes of entries that between them use every encoding and many tags. */
function fill(writer: FrameWriter): void {
  for (let i = 0; i < 4; i++) {
    writer.record(
      1,
      { auction: 1000 + i, price: [999, 5, 70_000, 5][i], name: ['ab', 'żó', 'ab', '\ud800'][i], x: i === 2 ? null : i / 4 },
      1_700_000_000_000 + i,
      1000 + i,
    )
    writer.watermark(i === 3 ? Infinity : 1_700_000_000_000 + i)
  }
  writer.record(
    2,
    [
      1,
      -1,
      'text',
      new Date(5),
      new Map([[1n, new Set([-(2n ** 64n)])]]),
      Uint8Array.of(1, 2),
      { a: [undefined, null, true, false] },
    ],
    0,
    ['k', 1],
    3,
  )
  writer.record(2, 0.1, 0, undefined, 3)
  for (let i = 0; i < 300; i++) writer.record(0, { side: i % 3 === 0 ? 'left' : 'right', up: i % 2 === 0 }, i, undefined)
  writer.barrier(9, 1_700_000_000_003, true)
}

function contents(data: Uint8Array): unknown[] {
  const cursor = readFrame(data).reader()
  const all: unknown[] = []
  for (let type = cursor.next(); type >= 0; type = cursor.next()) {
    if (type === ENTRY_RECORD) all.push([cursor.edge, cursor.kind, cursor.value, cursor.timestamp, cursor.key])
    else all.push([type, cursor.watermark, cursor.checkpoint, cursor.savepoint])
  }
  return all
}

const GOLDEN_SMALL = [
  '894d524601000b00640000003d00000003000000ac02020101040272310178c8643b2701024761756374696f6e45707269636502000200000002d60f',
  '04040002c60197019701000280a0abfef9620a000a0100020100048aa0abfef962000001eb2d6e9a',
].join('')

const GOLDEN_RAW = [
  'iU1SRgEACwDlBAAAvgQAADcBAACsAgIBAQQCcjEBeEeDRgIDBEdhdWN0aW9uRXByaWNlRG5hbWVBeAFBYQJEc2lkZUJ1cAUABAEAAALQDwMAAQIDAgrrogTi',
  'BwDrogQABgICAQEBAQBhAGIAfAHzAGEAYgAA2AkAAAEABAAAAAAAAAAAAAAAAAAA0D8AAAAAAADoPwKAoKv++WIDAAECAwEAAgQJAAAAAwKAoKv++WICAAEC',
  'AQICAwoKB4EEAUR0ZXh0DgAAAAAAABRADwEIAQEQAQkJAAAAAAAAAAABEQACAQIMAQoEAQADAgWamZmZmZm5PwCACgoCQWuBAQCsAgAAAgcCBQIIAQABbGVm',
  'dHJpZ2h0AgABAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEB',
  'AAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEB',
  'AAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEB',
  'AAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBAAEBCFVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVUFAwCrAgACAgICAgIC',
  'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC',
  'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC',
  'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC',
  'AgICAgICAgICAgICAgICAgICAgICAgABAwEABIagq/75YgCJAAMAAQABAAEAAQICAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD',
  'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD',
  'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD',
  'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDBBaOdUY=',
].join('')

const GOLDEN_ZSTD = [
  'iU1SRgEBCwAXAQAAvgQAADcBAACsAgIBAQQCcjEBeH2gjU4otS/9YL4DNQcAYs4vMHBr0gE2fD90r+//a8Bux2Wqv5BlYbpNBocWg7Rvee0XNwVIqqrSBv/f',
  'bUKCiJQppYn4u9iKUmSN7vtN8bEsK3LdvwYGrPIW3IPr6M+ht8eoMw7UW8N0ysiyLMssnmOdzQH3S+C2kuQBOzLEoKAC7+Je5cxAreHvu8e2Ur6OeHxsLjCf',
  'ODpxmnUrabTDE430qm3/AE1Np9BGajrteBchnLfOPhTLgVPAJKpflC+Ug7gmlZNgFQrCJAJ7EsuVkBgNACdAkRyWfKI1JzjVAIf8iU7BmZJodRlOnge3A4SB',
  'u2N2FTMTRRf4',
].join('')

describe('frame format 1', () => {
  it('writes the bytes of the example in docs/frame-format.md', () => {
    const writer = new FrameWriter()
    writer.record(0, { auction: 1007, price: 250 }, 1_700_000_000_000, 1007)
    writer.record(0, { auction: 1003, price: 99 }, 1_700_000_000_010, 1003)
    writer.watermark(1_700_000_000_005)
    assert.equal(Buffer.from(writer.finish(header)).toString('hex'), GOLDEN_SMALL)
    assert.deepStrictEqual(readHeader(Buffer.from(GOLDEN_SMALL, 'hex')), header)
  })

  it('writes the same bytes as ever for a frame of everything', () => {
    const writer = new FrameWriter({ compression: false })
    fill(writer)
    assert.equal(Buffer.from(writer.finish(header)).toString('base64'), GOLDEN_RAW)
  })

  it('reads frames written before, compressed and not', () => {
    // Compressed bytes are not compared: another zstd may compress otherwise.
    const writer = new FrameWriter()
    fill(writer)
    const expected = contents(writer.finish(header))
    assert.deepStrictEqual(contents(Buffer.from(GOLDEN_RAW, 'base64')), expected)
    assert.deepStrictEqual(contents(Buffer.from(GOLDEN_ZSTD, 'base64')), expected)
    assert.equal(readPrefix(Buffer.from(GOLDEN_ZSTD, 'base64')).compressed, true)
  })

  it('never looks like an aggregated Kinesis record', () => {
    assert.notDeepEqual([...Buffer.from(GOLDEN_SMALL, 'hex').subarray(0, 4)], [0xf3, 0x89, 0x9a, 0xc2])
  })
})

describe('frame format: a right checksum over nonsense is an error too', () => {
  const isCorrupt = (error: unknown) => error instanceof FrameError && error.code === 'corrupt'

  it('absurd counts, before anything is allocated for them', () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f] // a varint of 2^49 - 1
    const million = [0xc0, 0x84, 0x3d]
    const record = (...columns: number[]) => [0, 1, 1, 1, 0, 0, ...columns]
    const bodies: [string, number[], number][] = [
      ['shapes', huge, 1],
      ['keys of a shape', [1, ...huge], 1],
      ['groups', [0, ...huge], 1],
      ['rows', [0, 1, 2, ...huge, 0, 0x80], 1],
      ['rows of nothing', [0, 1, 2, 0, 0, 0x80], 0],
      ['rows against the count', [0, 1, 2, 2, 0, 0x80], 1],
      ['integers', [0, 1, 2, ...million, 2, 0, 0], 1_000_000],
      ['an array', record(10, 10, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a map', record(10, 15, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a set', record(10, 16, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a dictionary object', record(10, 13, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a string', record(10, 6, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a UTF-16 string', record(10, 7, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a bigint', record(10, 8, ...huge, 0, 0x80, 0, 0x80), 1],
      ['a typed array', record(10, 17, 9, ...huge, 0, 0x80, 0, 0x80), 1],
      ['string lengths', record(5, 2, ...huge, 0, 0, 0, 0x80, 0, 0x80), 1],
      ['a string dictionary', record(7, ...huge, 5, 2, 0, 0, 0, 0, 0x80, 0, 0x80), 1],
      ['a varint without end', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1],
      ['nesting', record(10, ...new Array(5000).fill([10, 1]).flat(), 0), 1],
      ['a constant object', record(0, 10, 0, 0, 0x80, 0, 0x80), 1],
      ['a column that refers to itself', record(1, 0, 0, 0x80, 0, 0x80), 1],
    ]
    for (const [name, body, count] of bodies) {
      const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
      assert.throws(() => readFrame(seal(body, count)), isCorrupt, name)
      const used = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before
      assert.ok(used < 32 << 20, `${name}: ${used} bytes`)
    }
    assert.throws(() => readFrame(seal([0, 0], 2 ** 31)), isCorrupt)
  })

  it('a compressed body that is longer than it says', async () => {
    const { zstdCompressSync } = await import('node:zlib')
    const bomb = zstdCompressSync(Buffer.alloc(200 << 20))
    for (const bytes of [100, 1 << 25, 2 ** 32 - 1])
      assert.throws(() => readFrame(sealFrame(header, bomb, { bytes, count: 1, compressed: true })), isCorrupt)
    assert.throws(() => readFrame(sealFrame(header, Buffer.from('no zstd'), { bytes: 7, count: 1, compressed: true })), isCorrupt)
  })

  it('any change to a body, under a checksum made right again, is read whole or refused by name', () => {
    const golden = Buffer.from(GOLDEN_RAW, 'base64')
    const { bodyStart, bodyEnd, count } = readPrefix(golden)
    const body = golden.subarray(bodyStart, bodyEnd)
    const edits = fc.array(fc.tuple(fc.nat(body.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(edits, fc.nat(3), (changes, cut) => {
        const copy = Uint8Array.from(body.subarray(0, cut === 0 ? changes[0]![0] : body.length))
        for (const [at, byte] of changes) if (at < copy.length) copy[at] = byte
        try {
          assert.equal(contents(seal(copy, count)).length, count)
        } catch (error) {
          assert.ok(isCorrupt(error), String(error))
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('random bodies', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(20), (body, count) => {
        try {
          assert.equal(contents(seal(body, count)).length, count)
        } catch (error) {
          assert.ok(isCorrupt(error), String(error))
        }
      }),
      { numRuns: 3000 },
    )
  })
})
