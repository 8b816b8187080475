import { Fn } from 'aws-cdk-lib'
import { CfnEventSourceMapping, type IFunction, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { Construct } from 'constructs'
import { stageStreamName } from '../runtime/aws/names.ts'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import { acknowledgeWildcard } from './acknowledge.ts'
import { allow } from './grants.ts'
import type { KafkaTopic } from './sources.ts'
import type { StageOptions } from './stage-options.ts'

/**
 * Batches of a topic, from its beginning, each tried until it is through (protocol.md, C6). No destination for failures: with one, Lambda gives a batch up after ten tries
 * (docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html). Nor partial failures, which it takes in provisioned mode only.
 */
export function mapTopic(
  scope: Construct,
  prefix: string,
  stage: PhysicalStage,
  target: LambdaFunction,
  topic: KafkaTopic,
  { batchSize, batchWindow }: Pick<StageOptions, 'batchSize' | 'batchWindow'>,
): CfnEventSourceMapping {
  // Of its own, and known: the right to it can be named, and a mapping that is made again goes on.
  const consumerGroupId = stageStreamName(prefix, stage.id)
  grantTopic(target, topic, consumerGroupId)
  const { clusterArn, bootstrapServers } = topic
  const access = accessOf(topic)
  const mapping = new CfnEventSourceMapping(scope, `Mapping-${stage.id}`, {
    functionName: target.functionName,
    topics: [topic.topic],
    startingPosition: 'TRIM_HORIZON',
    batchSize,
    maximumBatchingWindowInSeconds: batchWindow?.toSeconds(),
    ...(access.length > 0 && { sourceAccessConfigurations: access }),
    ...(clusterArn === undefined
      ? {
          selfManagedEventSource: { endpoints: { kafkaBootstrapServers: [...bootstrapServers!] } },
          selfManagedKafkaEventSourceConfig: { consumerGroupId },
        }
      : { eventSourceArn: clusterArn, amazonManagedKafkaEventSourceConfig: { consumerGroupId } }),
  })
  mapping.node.addDependency(target.role!)
  return mapping
}

function accessOf({
  secret,
  authentication = 'SASL_SCRAM_512_AUTH',
  rootCertificate,
  vpc,
  vpcSubnets,
  securityGroup,
}: KafkaTopic) {
  return [
    ...(secret === undefined ? [] : [{ type: authentication, uri: secret.secretArn }]),
    ...(rootCertificate === undefined ? [] : [{ type: 'SERVER_ROOT_CA_CERTIFICATE', uri: rootCertificate.secretArn }]),
    ...(vpc?.selectSubnets(vpcSubnets).subnetIds ?? []).map(id => ({ type: 'VPC_SUBNET', uri: `subnet:${id}` })),
    ...(securityGroup === undefined
      ? []
      : [{ type: 'VPC_SECURITY_GROUP', uri: `security_group:${securityGroup.securityGroupId}` }]),
  ]
}

/** A mapping polls with the function's role (docs.aws.amazon.com/lambda/latest/dg/with-msk-permissions.html, with-kafka-permissions.html). */
function grantTopic(to: LambdaFunction, { topic, clusterArn, secret, rootCertificate, vpc }: KafkaTopic, group: string): void {
  for (const known of [secret, rootCertificate]) if (known !== undefined) grantSecret(to, known)
  if (clusterArn !== undefined) {
    allow(to, ['kafka:DescribeClusterV2', 'kafka:GetBootstrapBrokers'], [clusterArn])
    if (secret === undefined) grantIam(to, clusterArn, topic, group)
  }
  if (clusterArn !== undefined || vpc !== undefined) grantInterfaces(to)
}

/** Where roles are who is who: MSK with IAM. */
function grantIam(to: IFunction, clusterArn: string, topic: string, group: string): void {
  const [account, cluster] = [0, 1].map(i => Fn.select(i, Fn.split(':cluster/', clusterArn)))
  allow(to, ['kafka-cluster:Connect', 'kafka-cluster:DescribeClusterDynamicConfiguration'], [clusterArn])
  allow(to, ['kafka-cluster:DescribeTopic', 'kafka-cluster:ReadData'], [`${account}:topic/${cluster}/${topic}`])
  allow(to, ['kafka-cluster:AlterGroup', 'kafka-cluster:DescribeGroup'], [`${account}:group/${cluster}/${group}`])
}

function grantSecret(to: IFunction, { secretFullArn, secretArn, encryptionKey }: ISecret): void {
  allow(to, ['secretsmanager:GetSecretValue'], [secretFullArn ?? `${secretArn}-??????`])
  if (encryptionKey !== undefined) allow(to, ['kms:Decrypt'], [encryptionKey.keyArn])
}

function grantInterfaces(to: IFunction): void {
  const what = ['NetworkInterfaces', 'Vpcs', 'Subnets', 'SecurityGroups'].map(part => `Describe${part}`)
  allow(
    to,
    ['CreateNetworkInterface', 'DeleteNetworkInterface', ...what].map(action => `ec2:${action}`),
    ['*'],
  )
  acknowledgeWildcard(
    to.role!,
    '*',
    'Network interfaces of a mapping that reads in a VPC: Lambda names them, and looking can not be limited.',
  )
}
