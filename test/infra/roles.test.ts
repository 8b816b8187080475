import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actionsOn, functions, resources, type Statement, shop, statementsOf } from './stacks.ts'

const template = shop().template()
const made = functions(template)
const roleOf = (name: string): string => made[name]!.Properties.Role['Fn::GetAtt'][0]
const may = (name: string, resource: string) => [...new Set(actionsOn(template, roleOf(name), resource))]
const roleNamed = (part: string) => Object.keys(resources(template, 'AWS::IAM::Role')).find(id => id.includes(part))!

const stages = Object.keys(made).filter(name => name.startsWith('stage '))
const subtasks = Object.keys(made).filter(name => /^(stage|cut) /.test(name))
const READ = ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query']

test('each function has a role of its own, without managed policies, for Lambda alone', () => {
  assert.equal(new Set(Object.keys(made).map(roleOf)).size, Object.keys(made).length)
  for (const [id, role] of Object.entries(resources(template, 'AWS::IAM::Role'))) {
    assert.equal(role.Properties.ManagedPolicyArns, undefined, id)
    assert.equal(role.Properties.Policies, undefined, id)
    assert.equal(role.Properties.AssumeRolePolicyDocument.Statement.length, 1)
  }
})

test('no action is a wildcard, and no resource is more than objects, executions and log streams of its own', () => {
  for (const { Properties } of Object.values(resources(template, 'AWS::IAM::Policy')))
    for (const { Action, Resource } of Properties.PolicyDocument.Statement as Statement[]) {
      for (const action of [Action].flat()) assert.doesNotMatch(action, /\*/)
      for (const resource of [Resource].flat()) {
        assert.notEqual(resource, '*')
        const text = JSON.stringify(resource)
        if (text.includes('*'))
          assert.match(text, /"\/\*"|"\/(values|pages|_staging\/pages|b\/buyers|b\/_staging\/buyers)\/\*"|-checkpoints:\*"/)
      }
    }
})

test('a stage appends to the log and deletes nothing of it; behind a shuffle it raises floors, and writes state, where it takes over from others', () => {
  for (const name of subtasks) {
    const takesOver = !name.includes(' source-')
    assert.deepEqual(
      may(name, 'ShopLog').filter(action => action.startsWith('dynamodb')),
      [...READ, 'dynamodb:PutItem', ...(takesOver ? ['dynamodb:UpdateItem'] : [])].sort(),
      name,
    )
    const writes = takesOver ? ['dynamodb:PutItem', 'dynamodb:DeleteItem'] : []
    assert.deepEqual(may(name, 'ShopState'), [...READ, ...writes].sort(), name)
    const deletes = takesOver ? ['s3:DeleteObject'] : []
    assert.deepEqual(may(name, 'ShopBucket'), [...deletes, 's3:GetObject', 's3:ListBucket', 's3:PutObject'], name)
    // Values that are too large for a row, and nothing else.
    for (const { Action, Resource } of statementsOf(template, roleOf(name)))
      if (JSON.stringify(Resource).includes('ShopBucket') && String(Action).includes('s3:DeleteObject'))
        assert.match(JSON.stringify(Resource), /"\/values\/\*"/, name)
  }
})

test('a stage sends to those behind it, and reads its own stream', () => {
  assert.deepEqual(may('stage source-clicks', 'ShopStreamsessions'), ['kinesis:ListShards', 'kinesis:PutRecord'])
  assert.deepEqual(may('cut source-clicks', 'ShopStreamsessions'), ['kinesis:ListShards', 'kinesis:PutRecord'])
  assert.deepEqual(may('stage source-clicks', 'ShopStreampages'), [])
  assert.deepEqual(may('stage source-clicks', 'ShopStreambuyers'), [])
  assert.deepEqual(may('stage buyers', 'ShopStreampages'), [])
  assert.ok(may('stage sessions', 'ShopStreamsessions').includes('kinesis:GetRecords'))
  assert.ok(!may('stage pages', 'ShopStreamsessions').includes('kinesis:GetRecords'))
  // The splits of a run are the shards of all its sources.
  for (const name of Object.keys(made))
    assert.equal(may(name, 'Orders').includes('kinesis:ListShards'), name !== 'compatible', name)
  for (const name of Object.keys(made)) assert.ok(!may(name, 'Orders').includes('kinesis:PutRecord'), name)
})

test('a source stage and its cut find out whether a closed shard is read to its end, and the checkpoint function whether a position is still there; nobody else reads a source', () => {
  for (const name of Object.keys(made)) {
    const reads = ['kinesis:GetRecords', 'kinesis:GetShardIterator'].every(action => may(name, 'Orders').includes(action))
    assert.equal(reads, /^((stage|cut) source-orders|checkpoint)$/.test(name), name)
  }
})

test('who asks whether the state fits may read the log, and nothing else', () => {
  assert.deepEqual(may('compatible', 'ShopLog'), ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query'])
  const actions = statementsOf(template, roleOf('compatible')).flatMap(s => s.Action)
  assert.deepEqual(
    actions.filter(action => !/^(dynamodb|logs):/.test(action)),
    [],
  )
})

test('only those with the sink touch its files, and only these', () => {
  for (const name of ['stage pages', 'checkpoint']) {
    const granted = statementsOf(template, roleOf(name)).filter(s => JSON.stringify(s.Resource).includes('"/pages/*"'))
    assert.deepEqual(granted.flatMap(s => s.Action).sort(), ['s3:DeleteObject', 's3:GetObject', 's3:PutObject'])
  }
  for (const name of Object.keys(made).filter(n => n !== 'stage pages' && n !== 'checkpoint')) {
    const granted = statementsOf(template, roleOf(name)).filter(s => JSON.stringify(s.Resource).includes('"/pages/*"'))
    assert.deepEqual(granted, [], name)
  }
  const listing = statementsOf(template, roleOf('stage pages')).find(
    s => JSON.stringify(s.Resource).includes('Results') && s.Action === 's3:ListBucket',
  )
  assert.deepEqual(listing!.Condition, { StringLike: { 's3:prefix': ['pages/*', '_staging/pages/*'] } })
})

test('a mapping reports to the queue with the rights of its stage; nobody reads from it', () => {
  for (const name of stages) assert.deepEqual(may(name, 'ShopDeadLetters'), ['sqs:SendMessage'], name)
  for (const name of Object.keys(made).filter(n => !stages.includes(n))) assert.deepEqual(may(name, 'ShopDeadLetters'), [], name)
})

test('state is written where checkpoints are made', () => {
  const write = ['dynamodb:DeleteItem', 'dynamodb:PutItem']
  assert.deepEqual(may('materialise', 'ShopState'), [...READ, ...write].sort())
  assert.deepEqual(
    may('materialise', 'ShopLog').filter(a => a.startsWith('dynamodb')),
    READ,
  )
  assert.deepEqual(may('checkpoint', 'ShopState'), [...READ, 'dynamodb:BatchWriteItem', 'dynamodb:Scan', ...write].sort())
  assert.deepEqual(
    may('checkpoint', 'ShopLog').filter(a => a.startsWith('dynamodb')),
    [...READ, 'dynamodb:BatchWriteItem', 'dynamodb:PutItem', 'dynamodb:Scan', 'dynamodb:UpdateItem'].sort(),
  )
})

test('a function writes its own log', () => {
  for (const name of Object.keys(made)) {
    const logs = statementsOf(template, roleOf(name)).filter(s => [s.Action].flat().some(a => a.startsWith('logs:')))
    assert.equal(logs.length, 1)
    assert.deepEqual(logs[0]!.Action, ['logs:CreateLogStream', 'logs:PutLogEvents'])
    assert.equal((logs[0]!.Resource as any)['Fn::GetAtt'][0], made[name]!.Properties.LoggingConfig.LogGroup.Ref)
  }
})

test('the controller calls its functions, and of the log table it touches the lock alone', () => {
  const role = roleNamed('ShopCheckpointsRole')
  const statements = statementsOf(template, role)
  const called = statements.find(s => s.Action === 'lambda:InvokeFunction')!.Resource as { 'Fn::GetAtt': string[] }[]
  assert.deepEqual(
    called.map(arn => Object.keys(made).find(name => made[name]!.logicalId === arn['Fn::GetAtt'][0])),
    ['checkpoint', 'materialise', 'cut source-clicks', 'cut source-orders'],
  )
  const onTable = statements.filter(s => JSON.stringify(s.Resource).includes('ShopLog'))
  assert.deepEqual(
    onTable.map(s => s.Condition),
    [{ 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['checkpoint-lock'] } }],
  )
  assert.deepEqual(
    statements.flatMap(s => s.Action).filter(a => a.startsWith('states:')),
    ['states:DescribeExecution'],
  )
})

test('the schedule may call the function that looks, for this account alone, and that may start the controller, and nothing else of it', () => {
  const role = roleNamed('ShopScheduleRole')
  assert.deepEqual(
    statementsOf(template, role).map(s => [s.Action, s.Resource]),
    [['lambda:InvokeFunction', { 'Fn::GetAtt': [made.checkpoint!.logicalId, 'Arn'] }]],
  )
  const [trust] = resources(template, 'AWS::IAM::Role')[role]!.Properties.AssumeRolePolicyDocument.Statement
  assert.deepEqual(trust.Condition, { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } })
  for (const name of Object.keys(made)) {
    const actions = [...new Set(actionsOn(template, roleOf(name), ':states:'))]
    assert.deepEqual(actions, name === 'checkpoint' ? ['states:ListExecutions', 'states:StartExecution'] : [], name)
  }
  const [machine] = Object.values(resources(template, 'AWS::StepFunctions::StateMachine'))
  const [starting] = statementsOf(template, roleOf('checkpoint')).filter(s => JSON.stringify(s.Resource).includes(':states:'))
  assert.ok(JSON.stringify(starting!.Resource).includes(`:stateMachine:${machine!.Properties.StateMachineName}"`))
})
