import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Duration,
  DurationError,
  formatDuration,
  nonNegativeDuration,
  parseDuration,
  positiveDuration,
} from '../../runtime/api/duration.ts'

const UNITS = {
  ms: 1,
  s: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
}

test('a whole number of any unit, with or without a space, is that many milliseconds', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -100_000, max: 100_000 }),
      fc.constantFrom(...Object.entries(UNITS)),
      fc.boolean(),
      (n, [unit, ms], space) => {
        assert.equal(parseDuration(`${n}${space ? ' ' : ''}${unit}` as Duration), n * ms + 0)
      },
    ),
  )
})

test('decimals are exact, as far as they are whole milliseconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), ms => {
      assert.equal(parseDuration(`${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}s` as Duration), ms)
    }),
  )
  assert.equal(parseDuration('1.1s'), 1100)
  assert.equal(parseDuration('1.5 h'), 5_400_000)
})

test('a number is milliseconds', () => {
  fc.assert(fc.property(fc.maxSafeInteger(), ms => assert.equal(parseDuration(ms), ms + 0)))
})

test('what is written can be read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e12 }), ms => assert.equal(parseDuration(formatDuration(ms) as Duration), ms + 0)),
  )
})

test('anything else is refused with the place and a form that works, never read as something', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      fc.pre(!/^-?\d+(\.\d+)? ?[a-z]+$/.test(text))
      assert.throws(() => parseDuration(text as Duration), DurationError)
    }),
  )
  for (const wrong of [
    '',
    '10',
    '10 parsecs',
    '10  s',
    ' 10s',
    '1e3s',
    '1h30m',
    '10S',
    'toString',
    '1constructor',
    '1.0001s',
    Number.NaN,
    Infinity,
    0.5,
    null,
    {},
  ]) {
    assert.throws(() => parseDuration(wrong as Duration), DurationError, String(wrong))
  }
  assert.throws(
    () => parseDuration('soon' as Duration, 'mapAsync: timeout'),
    /^DurationError: mapAsync: timeout 'soon' is not a duration: .*'30m'/,
  )
})

test('where it makes no sense, zero and negative ones are refused', () => {
  assert.throws(() => positiveDuration('0s', 'ttl'), /ttl '0s' must be more than 0/)
  assert.throws(() => nonNegativeDuration('-1s', 'lateness'), /lateness '-1s' must not be negative/)
  assert.equal(nonNegativeDuration(0), 0)
})
