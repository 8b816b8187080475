import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import { InfraError, MillracePipeline } from '../../infra/index.ts'
import { fixture, plainApp } from './stacks.ts'

test('a queue of the user can be opened to the functions that write to it: the stage, its cut, and the checkpoint, which sends', () => {
  const stack = new Stack(plainApp(), 'Stack')
  const pipeline = new MillracePipeline(stack, 'Alerts', {
    entry: fixture('alerts.ts'),
    sources: { events: new Stream(stack, 'Events') },
  })
  const queue = new Queue(stack, 'Queue')
  const writers = pipeline.writersOf('alerts')
  const [stage] = Object.values(pipeline.stages)
  assert.deepEqual(writers, [stage!.handler, stage!.cut, pipeline.checkpoint])
  for (const writer of writers) queue.grantSendMessages(writer)
  const policies = Template.fromStack(stack).findResources('AWS::IAM::Policy', {
    Properties: {
      PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Action: Match.arrayWith(['sqs:SendMessage']) })]) },
    },
  })
  assert.ok(Object.keys(policies).length >= writers.length)
  assert.throws(
    () => pipeline.writersOf('nothing'),
    (error: Error) => error instanceof InfraError && /has no sink 'nothing'/.test(error.message),
  )
})
