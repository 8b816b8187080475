import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { stageStreamName, stageStreams } from '../../runtime/aws/names.ts'
import { formatPosition, formatShard, parsePosition, parseShard } from '../../runtime/aws/position.ts'

describe("the name of a stage's stream", () => {
  test('is the prefix and the stage, without the run', () => {
    assert.equal(stageStreamName('shop', 'window-1x2y3z'), 'shop.window-1x2y3z')
    assert.equal(stageStreams('shop')('3f2a/window-1x2y3z'), 'shop.window-1x2y3z')
    assert.equal(stageStreams('shop')('another-run/window-1x2y3z'), 'shop.window-1x2y3z')
    assert.equal(stageStreams('shop')('run/a/b'), stageStreamName('shop', 'a/b'))
  })

  test('is one that Kinesis takes, and another for every other stage', () => {
    const part = fc.oneof(
      fc.string({ minLength: 1, maxLength: 150, unit: 'grapheme' }),
      fc.constantFrom('a.b', 'a-b', 'a', 'b', 'a/b'),
    )
    fc.assert(
      fc.property(part, part, part, part, (a, b, c, d) => {
        const [one, two] = [stageStreamName(a, b), stageStreamName(c, d)]
        assert.match(one, /^[a-zA-Z0-9_.-]{1,128}$/)
        assert.equal(one === two, a === c && b === d)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a position', () => {
  const sequence = '49590338271490256608559692538361571095921575989136588898'

  test('has the order of sequence numbers, and leads back to them', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 186n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 186n - 1n }), (a, b) => {
        const [x, y] = [formatPosition(String(a)), formatPosition(String(b))]
        assert.equal(x < y, a < b)
        assert.equal(x.length, y.length)
        assert.equal(parsePosition(x), String(a))
      }),
    )
    assert.equal(formatPosition(sequence), sequence)
  })

  test('is nothing else', () => {
    for (const text of ['', 'x', '-1', '1.5', '1'.repeat(57)])
      assert.throws(() => formatPosition(text), { name: 'PortArgumentError' })
    for (const text of ['', '1', `${sequence}0`, sequence.replace('4', 'x')])
      assert.throws(() => parsePosition(text), { name: 'PortArgumentError' })
  })

  test('lies in a shard that is known by its number', () => {
    assert.equal(formatShard(3), 'shardId-000000000003')
    assert.equal(parseShard('shardId-000000000003'), 3)
    for (const text of ['', 'shardId-3', 'shardId-00000000000x'])
      assert.throws(() => parseShard(text), { name: 'PortArgumentError' })
  })
})
