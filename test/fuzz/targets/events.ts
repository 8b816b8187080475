import assert from 'node:assert/strict'
import { type ChangeRecord, changeArrivals } from '../../../runtime/aws/functions/change-event.ts'
import { readDelivery } from '../../../runtime/aws/functions/event.ts'
import { readKafkaEvent } from '../../../runtime/aws/functions/kafka-event.ts'
import { NotificationError, readNotification } from '../../../runtime/aws/functions/object-event.ts'
import { parsePosition } from '../../../runtime/aws/position.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import { mutate, noise } from '../mutate.ts'
import { mutateValue } from '../mutate-value.ts'
import { type Target, taken } from '../target.ts'
import { several, text } from '../values.ts'

/** What Lambda hands over of each kind of source: contents are anybody's, and come through as they are. */
export const events: Target = {
  name: 'events',
  once(dice) {
    switch (dice.below(4)) {
      case 0:
        return kinesis(dice)
      case 1:
        return kafka(dice)
      case 2:
        return changesOfATable(dice)
      default:
        return notification(dice)
    }
  },
}

function kinesis(dice: Dice): boolean {
  const contents = Array.from({ length: 1 + dice.below(3) }, () => noise(dice, dice.below(40)))
  const sequences = contents.map((_, i) => `4959${'0'.repeat(dice.below(40))}${i}`)
  const { records, shardId } = readDelivery({
    Records: contents.map((data, i) => ({
      eventID: `shardId-000000000007:${sequences[i]}`,
      kinesis: { sequenceNumber: sequences[i]!, data: data.toString('base64'), approximateArrivalTimestamp: 1.7e9 },
    })),
  })!
  assert.equal(shardId, 'shardId-000000000007')
  assert.deepEqual(
    records.map(r => [parsePosition(r.seq), [...r.data]]),
    contents.map((c, i) => [sequences[i], [...c]]),
  )
  return true
}

function kafka(dice: Dice): boolean {
  const values = Array.from({ length: 1 + dice.below(3) }, () => dice.pick([undefined, null, noise(dice, dice.below(40))]))
  const topic = text(dice)
  const [delivery] = readKafkaEvent({
    records: { it: values.map((v, offset) => ({ topic, partition: 3, offset, value: v?.toString('base64') })) },
  })
  const expected = values.map(v => [...(v ?? Buffer.from('null'))])
  assert.equal(delivery!.split, `${topic}-3`)
  assert.deepEqual(
    delivery!.records.map(r => [...r.data]),
    expected,
  )
  return true
}

type Pair = readonly [attribute: Record<string, unknown>, plain: unknown]

function changesOfATable(dice: Dice): boolean {
  const image = (): Pair => attributes(dice, 3)
  const [keys, after, before] = [image(), dice.pick([undefined, image()]), dice.pick([undefined, image()])]
  const record = {
    eventName: dice.pick(['INSERT', 'MODIFY', 'REMOVE'] as const),
    dynamodb: {
      Keys: keys[0],
      ...(after && { NewImage: after[0] }),
      ...(before && { OldImage: before[0] }),
      SequenceNumber: String(dice.below(1e9)),
      ApproximateCreationDateTime: 1.7e9,
    },
  } as ChangeRecord
  const [arrival] = changeArrivals('shard', [record]).records
  const expected = {
    kind: record.eventName.toLowerCase(),
    keys: keys[1],
    new: after?.[1] ?? null,
    old: before?.[1] ?? null,
    at: 1.7e12,
  }
  assert.deepEqual(JSON.parse(arrival!.data.toString()), JSON.parse(JSON.stringify(expected)))
  return true
}

function attributes(dice: Dice, depth: number): Pair {
  const all = several(dice, () => [text(dice), attribute(dice, depth)] as const)
  return [Object.fromEntries(all.map(([name, [a]]) => [name, a])), Object.fromEntries(all.map(([name, [, p]]) => [name, p]))]
}

function attribute(dice: Dice, depth: number): Pair {
  const n = dice.pick([0, -1, 1.5, dice.below(1e9), 1e20])
  const big = '12345678901234567890123456789012345678'
  switch (dice.below(depth > 0 ? 9 : 6)) {
    case 0:
      return [{ NULL: true }, null]
    case 1:
      return [{ BOOL: false }, false]
    case 2:
      return n === 1e20 ? [{ N: big }, big] : [{ N: String(n) }, n]
    case 3:
      return [{ NS: ['1', big] }, [1, big]]
    case 4:
      return [{ SS: ['a', 'b'] }, ['a', 'b']]
    case 5: {
      const s = text(dice)
      return [{ S: s }, s]
    }
    case 6: {
      const [a, p] = attributes(dice, depth - 1)
      return [{ M: a }, p]
    }
    case 7: {
      const all = several(dice, () => attribute(dice, depth - 1))
      return [{ L: all.map(([a]) => a) }, all.map(([, p]) => p)]
    }
    default:
      return [{ B: 'AAEC' }, 'AAEC']
  }
}

function notification(dice: Dice): boolean {
  const object = { key: `a/${text(dice)}`, size: dice.below(1e9), etag: 'e', 'version-id': dice.pick([undefined, 'null', 'v']) }
  const message = { 'detail-type': 'Object Created', detail: { bucket: { name: 'b' }, object } }
  const kind = dice.below(3)
  const body = JSON.stringify(kind === 0 ? message : withoutBigints(mutateValue(message, dice)), withoutBigints) ?? ''
  return taken(() => {
    const { bucket, key, size, etag, version } = readNotification(kind === 1 ? mutate(Buffer.from(body), dice).toString() : body)
    for (const name of [bucket, key]) assert.ok(typeof name === 'string' && name !== '')
    assert.ok(typeof etag === 'string' && Number.isSafeInteger(size) && (version === undefined || typeof version === 'string'))
    if (kind === 0) assert.deepEqual([bucket, key, size], ['b', JSON.parse(body).detail.object.key, object.size])
  }, NotificationError)
}

/** JSON has no word for them. */
function withoutBigints(nameOrValue: unknown, value: unknown = nameOrValue): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}
