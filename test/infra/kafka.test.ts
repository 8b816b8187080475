import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { InfraError, type KafkaTopic, type MillracePipelineProps } from '../../infra/index.ts'
import { actionsOn, functions, nagFindings, resources, shop, statementsOf } from './stacks.ts'

type Made = ReturnType<typeof shop>
const CLUSTER = 'arn:aws:kafka:eu-west-1:111122223333:cluster/events/0a1b-2'

/** The shop with its orders from Kafka. */
function withOrders(
  kafka: Partial<KafkaTopic> | ((stack: Made['stack']) => Partial<KafkaTopic>),
  props: (stack: Made['stack']) => Partial<MillracePipelineProps> = () => ({}),
): Made {
  return shop(stack => ({
    ...props(stack),
    sources: {
      clicks: new Stream(stack, 'C', { streamMode: StreamMode.PROVISIONED, shardCount: 2 }),
      orders: { kafka: { topic: 'orders', partitions: 12, ...(typeof kafka === 'function' ? kafka(stack) : kafka) } },
    },
  }))
}

function mappingOf(made: Made) {
  const template = made.template()
  const { logicalId, Properties } = functions(template)['stage source-orders']!
  const mapping = Object.values(resources(template, 'AWS::Lambda::EventSourceMapping')).find(
    m => m.Properties.FunctionName.Ref === logicalId,
  )!
  return { template, mapping: mapping.Properties, role: Properties.Role['Fn::GetAtt'][0] as string, fn: Properties }
}

/** Beside what each stage has. */
const OTHERS = /^(dynamodb|s3|logs|kinesis):/
const actions = (template: Made extends { template(): infer T } ? T : never, role: string) =>
  statementsOf(template, role)
    .flatMap(s => s.Action)
    .filter(action => !OTHERS.test(action))
    .sort()

test('a topic of MSK, by the role of the function: from its beginning, in a group of its own, nothing given up', () => {
  const made = withOrders({ clusterArn: CLUSTER })
  const { template, mapping, role, fn } = mappingOf(made)
  const group = mapping.AmazonManagedKafkaEventSourceConfig.ConsumerGroupId
  assert.match(group, /^Stack-?Shop-?[0-9A-F]{8}\.source-orders$/)
  const { FunctionName, AmazonManagedKafkaEventSourceConfig, Tags, ...rest } = mapping
  // No destination: with one, Lambda tries ten times only. No partial failures: not without provisioned pollers.
  assert.deepEqual(rest, { BatchSize: 1000, EventSourceArn: CLUSTER, StartingPosition: 'TRIM_HORIZON', Topics: ['orders'] })
  const on = (resource: string) => actionsOn(template, role, resource)
  assert.deepEqual(on(CLUSTER), [
    'kafka-cluster:Connect',
    'kafka-cluster:DescribeClusterDynamicConfiguration',
    'kafka:DescribeClusterV2',
    'kafka:GetBootstrapBrokers',
  ])
  assert.deepEqual(on('topic/events/0a1b-2/orders'), ['kafka-cluster:DescribeTopic', 'kafka-cluster:ReadData'])
  assert.deepEqual(on(`group/events/0a1b-2/${group}`), ['kafka-cluster:AlterGroup', 'kafka-cluster:DescribeGroup'])
  assert.equal(actions(template, role).length, 14)
  assert.match(
    JSON.stringify(fn.Environment.Variables.MILLRACE_SOURCES),
    /\\"orders\\":\{\\"kind\\":\\"kafka\\",\\"topic\\":\\"orders\\",\\"partitions\\":12\}/,
  )
  // The splits of the run: only the stream has to be asked.
  assert.deepEqual(nagFindings(made), [])
  const says = Object.values(resources(template, 'AWS::CloudWatch::Alarm')).map(a => a.Properties)
  const behind = says.find(a => a.AlarmDescription === 'Stage source-orders is more than 10000 records behind its topic')
  assert.equal(behind?.MetricName, 'OffsetLag')
  assert.match(JSON.stringify(resources(template, 'AWS::CloudWatch::Dashboard')), /OffsetLag/)
})

test('a cluster that is made in the same app has its ARN at deployment only', () => {
  const { template, role } = mappingOf(withOrders(stack => ({ clusterArn: new Key(stack, 'StandsForACluster').keyArn })))
  const topics = statementsOf(template, role).find(s => [s.Action].flat().includes('kafka-cluster:ReadData'))
  assert.match(JSON.stringify(topics!.Resource), /Fn::Split.*:cluster\/.*:topic\//)
})

test('with a secret: read by the role, with its key, and no rights of IAM', () => {
  const made = withOrders(
    stack => ({
      clusterArn: CLUSTER,
      secret: new Secret(stack, 'Login', { encryptionKey: new Key(stack, 'LoginKey', { enableKeyRotation: true }) }),
      authentication: 'SASL_SCRAM_512_AUTH',
    }),
    stack => ({ vpc: new Vpc(stack, 'Vpc', { maxAzs: 2, flowLogs: { all: {} } }) }),
  )
  const { template, mapping, role } = mappingOf(made)
  assert.match(JSON.stringify(mapping.SourceAccessConfigurations), /^\[\{"Type":"SASL_SCRAM_512_AUTH","URI":\{"Ref":"Login/)
  assert.deepEqual(actionsOn(template, role, 'Login'), ['kms:Decrypt', 'secretsmanager:GetSecretValue'])
  assert.ok(!actions(template, role).some(action => action.startsWith('kafka-cluster:')))
  assert.deepEqual(nagFindings(made), [])
})

test('any other Kafka: on the Internet it needs no rights but to its secret, in a VPC those to get there', () => {
  const servers = { bootstrapServers: ['b1.example.com:9092', 'b2.example.com:9092'] }
  const outside = mappingOf(withOrders(servers))
  assert.deepEqual(outside.mapping.SelfManagedEventSource, { Endpoints: { KafkaBootstrapServers: servers.bootstrapServers } })
  assert.match(outside.mapping.SelfManagedKafkaEventSourceConfig.ConsumerGroupId, /\.source-orders$/)
  assert.equal(outside.mapping.SourceAccessConfigurations, undefined)
  assert.deepEqual(actions(outside.template, outside.role), [])
  const made = withOrders(stack => {
    const vpc = new Vpc(stack, 'V', { maxAzs: 2, flowLogs: { all: {} } })
    const secret = Secret.fromSecretNameV2(stack, 'Login', 'kafka-login')
    const rootCertificate = Secret.fromSecretNameV2(stack, 'Ca', 'kafka-ca')
    return { ...servers, secret, rootCertificate, vpc, securityGroup: new SecurityGroup(stack, 'G', { vpc }) }
  })
  const inside = mappingOf(made)
  assert.deepEqual(
    inside.mapping.SourceAccessConfigurations.map((a: { Type: string }) => a.Type),
    ['SASL_SCRAM_512_AUTH', 'SERVER_ROOT_CA_CERTIFICATE', 'VPC_SUBNET', 'VPC_SUBNET', 'VPC_SECURITY_GROUP'],
  )
  assert.deepEqual(
    actions(inside.template, inside.role).map(action => action.split(':')[0]),
    [...Array(6).fill('ec2'), ...Array(2).fill('secretsmanager')],
  )
})

test('what is no topic is refused', () => {
  const refused = (kafka: object) => {
    try {
      withOrders(kafka)
    } catch (error) {
      assert.ok(error instanceof InfraError)
      return error.message
    }
    throw new assert.AssertionError({ message: 'it was accepted' })
  }
  const bootstrapServers = ['b:9092']
  assert.equal(refused({}), 'sources.orders.kafka: name either clusterArn, of MSK, or bootstrapServers, of another Kafka')
  assert.match(refused({ clusterArn: CLUSTER, bootstrapServers }), /either clusterArn/)
  assert.equal(
    refused({ bootstrapServers, partitions: 0 }),
    'sources.orders.kafka.partitions is 0: a whole number from 1 on is needed',
  )
  assert.match(refused({ bootstrapServers, partitions: undefined }), /partitions is missing: say how many the topic has/)
  assert.match(refused({ bootstrapServers: [] }), /bootstrapServers is empty/)
  assert.match(refused({ bootstrapServers, topic: '' }), /topic is missing/)
  assert.match(refused({ bootstrapServers, authentication: 'BASIC_AUTH' }), /is of a secret/)
  assert.match(refused({ clusterArn: CLUSTER, securityGroup: {} }), /are not of MSK/)
  assert.match(refused({ bootstrapServers, vpc: {} }), /a vpc needs a securityGroup/)
})
