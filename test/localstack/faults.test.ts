import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { awsPorts } from '../../runtime/aws/ports.ts'
import { portsConformance } from '../conformance/ports.ts'
import { conformanceShards, conformanceStreams } from '../conformance/streams.ts'
import { openFaultyProxy } from './faulty-proxy.ts'
import { endpoint, openAwsFixture, withoutLocalStack } from './resources.ts'

/**
 * If an answer is lost, the call is repeated on what it did itself: a conditional put that asked nobody who wrote would say "lost", the attempt would throw its own commit away.
 * The same sentences hold as without faults; only a record that is put twice is no error (a call that failed may have landed), so PutRecord is only throttled.
 */
const faults = { throttled: 0.05, answerLost: 0.05, answered: ['PutRecord'] }

if (withoutLocalStack) {
  describe('the AWS ports on LocalStack, with faults', () => test('keep the contract', { skip: withoutLocalStack }, () => {}))
} else {
  let counts: { throttled: number; lost: number } | undefined
  portsConformance('AWS, on LocalStack with throttling and lost answers,', async () => {
    const fixture = await openAwsFixture(conformanceStreams, conformanceShards)
    const proxy = await openFaultyProxy(endpoint!, faults, 1)
    const ports = awsPorts({ ...fixture.options, endpoint: proxy.endpoint })
    const close = async () => {
      counts = proxy.counts
      ports.close()
      await proxy.close()
      await fixture.close()
    }
    return { ports, close }
  })
  after(() => {
    assert.ok(counts!.throttled > 100 && counts!.lost > 100, `the proxy did next to nothing: ${JSON.stringify(counts)}`)
  })
}
