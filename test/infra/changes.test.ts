import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AttributeType, StreamViewType, Table, TableEncryption, TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { InfraError, type TableChanges } from '../../infra/index.ts'
import { actionsOn, functions, nagFindings, resources, shop, statementsOf } from './stacks.ts'

type Made = ReturnType<typeof shop>
const partitionKey = { name: 'id', type: AttributeType.STRING }

/** The shop with its orders from a table. */
function withOrders(changes: (stack: Made['stack']) => TableChanges): Made {
  return shop(stack => ({ sources: { clicks: new Stream(stack, 'C'), orders: { changes: changes(stack) } } }))
}

function sourceOf(made: Made) {
  const template = made.template()
  const { logicalId, Properties } = functions(template)['stage source-orders']!
  const mappings = Object.values(resources(template, 'AWS::Lambda::EventSourceMapping')).map(m => m.Properties)
  const mapping = mappings.find(m => m.FunctionName.Ref === logicalId)!
  return { template, mappings, mapping, role: Properties.Role['Fn::GetAtt'][0] as string, fn: Properties }
}

test('the stream of a table: as a stream of Kinesis is read, in a window whose events name the shard', () => {
  const made = withOrders(stack => ({
    table: new TableV2(stack, 'T', { partitionKey, dynamoStream: StreamViewType.NEW_IMAGE }),
    subtasks: 3,
  }))
  const { template, mappings, mapping, role, fn } = sourceOf(made)
  const { FunctionName, EventSourceArn, DestinationConfig, Tags, ...rest } = mapping
  assert.equal(EventSourceArn['Fn::GetAtt'][1], 'StreamArn')
  assert.match(JSON.stringify(DestinationConfig), /ShopDeadLetters/)
  assert.deepEqual(rest, {
    BatchSize: 1000,
    BisectBatchOnFunctionError: false,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumRecordAgeInSeconds: -1,
    MaximumRetryAttempts: -1,
    ParallelizationFactor: 1,
    StartingPosition: 'TRIM_HORIZON',
    TumblingWindowInSeconds: 900,
  })
  assert.equal(mappings.filter(m => m.TumblingWindowInSeconds !== undefined).length, 1)
  const [table] = EventSourceArn['Fn::GetAtt']
  assert.deepEqual(actionsOn(template, role, table), [
    'dynamodb:DescribeStream',
    'dynamodb:GetRecords',
    'dynamodb:GetShardIterator',
    'dynamodb:ListStreams',
  ])
  for (const other of ['cut source-orders', 'stage sessions', 'checkpoint'])
    assert.deepEqual(actionsOn(template, functions(template)[other]!.Properties.Role['Fn::GetAtt'][0], table), [], other)
  assert.match(
    JSON.stringify(fn.Environment.Variables.MILLRACE_SOURCES),
    /\\"orders\\":\{\\"kind\\":\\"dynamodb\\",\\"subtasks\\":3\}/,
  )
  assert.deepEqual(nagFindings(made), [])
})

test('an imported table, and one with a key of its own', () => {
  const imported = sourceOf(
    withOrders(stack => ({
      table: Table.fromTableAttributes(stack, 'T', {
        tableArn: 'arn:aws:dynamodb:eu-west-1:111122223333:table/orders',
        tableStreamArn: 'arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026',
      }),
    })),
  )
  assert.equal(imported.mapping.EventSourceArn, 'arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026')
  const listing = statementsOf(imported.template, imported.role).find(s => s.Action === 'dynamodb:ListStreams')
  assert.equal(listing!.Resource, 'arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/*')
  const { template, role } = sourceOf(
    withOrders(stack => {
      const own = { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey: new Key(stack, 'Own') }
      return { table: new Table(stack, 'T', { partitionKey, stream: StreamViewType.KEYS_ONLY, ...own }) }
    }),
  )
  assert.deepEqual(actionsOn(template, role, 'Own'), ['kms:Decrypt'])
})

test('a table without a stream, and no subtasks, are refused', () => {
  const refused = (changes: Parameters<typeof withOrders>[0]) => {
    try {
      withOrders(changes)
    } catch (error) {
      assert.ok(error instanceof InfraError)
      return error.message
    }
    throw new assert.AssertionError({ message: 'it was accepted' })
  }
  for (const Kind of [Table, TableV2])
    assert.match(
      refused(stack => ({ table: new Kind(stack, 'T', { partitionKey }) })),
      /^sources\.orders\.changes\.table has no stream: give it one, as in `dynamoStream/,
    )
  assert.equal(
    refused(stack => ({ table: new Table(stack, 'T', { partitionKey }), subtasks: 0 })),
    'sources.orders.changes.subtasks is 0: a whole number from 1 on is needed',
  )
})
