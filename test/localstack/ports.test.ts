import { describe, test } from 'node:test'
import { portsConformance } from '../conformance/ports.ts'
import { conformanceShards, conformanceStreams } from '../conformance/streams.ts'
import { openAwsFixture, withoutLocalStack } from './resources.ts'

if (withoutLocalStack) {
  describe('the AWS ports on LocalStack', () => test('keep the contract of the ports', { skip: withoutLocalStack }, () => {}))
} else {
  portsConformance('AWS, on LocalStack', () => openAwsFixture(conformanceStreams, conformanceShards))
}
