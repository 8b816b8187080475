import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { caller, waitMsMax } from '../../runtime/aws/call.ts'
import { classify } from '../../runtime/aws/classify.ts'
import { AwsError } from '../../runtime/aws/errors.ts'
import { meters } from '../../runtime/aws/meter.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { fakeCalls, fakeClock, fakeRandom, networkError, serviceError } from './fakes.ts'

const options = { operation: 'dynamodb.PutItem', resource: 'table shop-log' }

/** Fails with each of `errors` in turn, then answers. */
function failing(errors: readonly unknown[]) {
  let tries = 0
  return async () => {
    if (tries < errors.length) throw errors[tries++]
    return 'done'
  }
}

describe('what a failure means', () => {
  const cases: [unknown, ReturnType<typeof classify>][] = [
    [serviceError('ProvisionedThroughputExceededException'), 'throttled'],
    [serviceError('ThrottlingException'), 'throttled'],
    [serviceError('SlowDown', 503), 'throttled'],
    [serviceError('Whatever', 429), 'throttled'],
    [serviceError('TransactionConflictException'), 'conflict'],
    [serviceError('ConditionalRequestConflict', 409), 'conflict'],
    [serviceError('InternalServerError', 500), 'unavailable'],
    [serviceError('ServiceUnavailable', 503), 'unavailable'],
    [serviceError('SyntaxError', 200), 'unavailable'],
    [serviceError('TimeoutError', undefined), 'unavailable'],
    [networkError('ECONNRESET'), 'unavailable'],
    [networkError('ENOTFOUND'), 'unavailable'],
    [new DOMException('too long', 'TimeoutError'), 'unavailable'],
    [serviceError('AccessDeniedException'), 'access'],
    [serviceError('Forbidden', 403), 'access'],
    [Object.assign(new Error('none'), { name: 'CredentialsProviderError' }), 'access'],
    [serviceError('ResourceNotFoundException'), 'missing'],
    [serviceError('NoSuchBucket', 404), 'missing'],
    [serviceError('ValidationException'), 'refused'],
    [serviceError('InvalidArgumentException'), 'refused'],
    [new TypeError('undefined is not a function'), undefined],
    [undefined, undefined],
  ]
  for (const [error, meaning] of cases) {
    const { name, code } = (error ?? {}) as { name?: string; code?: string }
    test(`${code ?? name} is ${meaning ?? 'an error of the program'}`, () => assert.equal(classify(error), meaning))
  }
})

describe('a call', () => {
  test('is tried again after throttling, conflicts and failures of the network, and every try is counted', async () => {
    const { call, clock, meters } = fakeCalls()
    const errors = [serviceError('ThrottlingException'), serviceError('TransactionConflictException'), networkError('ECONNRESET')]
    assert.equal(await call(options, failing(errors)), 'done')
    assert.deepEqual(clock.sleeps, [25, 50, 100])
    assert.deepEqual(meters.stats(), {
      'dynamodb.PutItem.calls': 4,
      'dynamodb.PutItem.retries': 3,
      'dynamodb.PutItem.throttled': 1,
    })
  })

  test('waits anywhere below a bound that doubles up to a limit', () => {
    assert.deepEqual([1, 2, 3, 10, 100].map(waitMsMax), [50, 100, 200, 3000, 3000])
  })

  test('is not tried again when it is refused', async () => {
    for (const [name, error] of [
      ['AccessRefusedError', serviceError('AccessDeniedException')],
      ['ResourceMissingError', serviceError('ResourceNotFoundException')],
      ['RequestRefusedError', serviceError('ValidationException')],
    ] as const) {
      const { call, clock } = fakeCalls()
      const failed = await call(options, failing([error])).catch(e => e)
      assert.ok(failed instanceof AwsError)
      assert.equal(failed.name, name)
      assert.equal(failed.retryable, false)
      assert.equal(failed.resource, 'table shop-log')
      assert.equal(failed.cause, error)
      assert.match(failed.message, /table shop-log.*dynamodb\.PutItem|dynamodb\.PutItem.*table shop-log/)
      assert.deepEqual(clock.sleeps, [])
    }
  })

  test('is given up after so many tries, with an error that says it may be repeated', async () => {
    for (const [name, error] of [
      ['ThrottledError', serviceError('ThrottlingException')],
      ['ServiceUnavailableError', serviceError('InternalServerError', 500)],
    ] as const) {
      const { call, clock } = fakeCalls()
      const failed = await call(options, async () => {
        throw error
      }).catch(e => e)
      assert.equal(failed.name, name)
      assert.equal(failed.retryable, true)
      assert.equal(clock.sleeps.length, 11)
    }
  })

  test('says who has to do what, and of reading not that it may have taken effect', async () => {
    const said = async (operation: string, error: unknown) => {
      const failed: Error = await fakeCalls()
        .call({ ...options, operation }, failing(Array(20).fill(error)))
        .then(assert.fail, e => e)
      return failed.message
    }
    const refused = networkError('ECONNREFUSED')
    assert.match(await said('dynamodb.PutItem', refused), /failed 12 times; it may have taken effect\. The last time/)
    for (const reading of [
      'cloudformation.DescribeStacks',
      's3.GetObject',
      's3.HeadObject',
      'dynamodb.Query',
      'kinesis.ListShards',
    ])
      assert.match(await said(reading, refused), /failed 12 times\. The last time/)
    assert.match(
      await said('s3.PutObject', serviceError('AccessDenied', 403)),
      /is not allowed: check the credentials, and the policies of the role or user that they are of\. It said/,
    )
    const none = Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' })
    assert.match(await said('s3.PutObject', none), /^there are no AWS credentials for s3\.PutObject on .*: set AWS_PROFILE, or /)
  })

  test('knows after a failure of the network, and not after throttling, that it may have taken effect', async () => {
    const { call } = fakeCalls()
    const doubts: boolean[] = []
    const send = failing([serviceError('ThrottlingException'), networkError('EPIPE'), serviceError('ThrottlingException')])
    await call(options, ({ doubt }) => {
      doubts.push(doubt)
      return send()
    })
    assert.deepEqual(doubts, [false, false, true, true])
  })

  test('throws what its caller expects, what the program got wrong, and named errors as they are, at once', async () => {
    for (const error of [serviceError('ConditionalCheckFailedException'), new TypeError('oops'), new MillraceError('named')]) {
      const { call, clock } = fakeCalls()
      const expected = (e: unknown) => (e as Error).name === 'ConditionalCheckFailedException'
      await assert.rejects(call({ ...options, expected }, failing([error])), e => e === error)
      assert.deepEqual(clock.sleeps, [])
    }
  })

  test('sends nothing after the deadline, nor waits for it (A8)', async () => {
    const clock = fakeClock()
    let deadline = clock.now()
    const counted = meters()
    const call = caller({ clock, random: fakeRandom(0.99), meters: counted, deadline: () => deadline })
    await assert.rejects(call(options, failing([])), { name: 'DeadlineError', retryable: true })
    assert.deepEqual(counted.stats(), {})
    deadline = clock.now() + 100
    const cause = serviceError('ThrottlingException')
    await assert.rejects(call(options, failing([cause, cause, cause])), {
      name: 'DeadlineError',
      cause,
      message: /table shop-log.*ThrottlingException/,
    })
    assert.ok(clock.now() < deadline)
  })

  test('gives up a request that has no answer at the deadline', async () => {
    const started = Date.now()
    const clock = { now: () => Date.now(), sleep: async () => {} }
    const call = caller({ clock, random: fakeRandom(), meters: meters(), deadline: () => started + 50 })
    const send = ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        const alive = setTimeout(() => {}, 10_000)
        signal.addEventListener('abort', () => {
          clearTimeout(alive)
          reject(signal.reason)
        })
      })
    await assert.rejects(call(options, send), { name: 'DeadlineError' })
    assert.ok(Date.now() - started < 5_000)
  })
})
