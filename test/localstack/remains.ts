import { CloudFormationClient, DescribeStacksCommand, paginateListStackResources } from '@aws-sdk/client-cloudformation'
import { DescribeTableCommand } from '@aws-sdk/client-dynamodb'
import { DescribeStreamSummaryCommand } from '@aws-sdk/client-kinesis'
import { GetEventSourceMappingCommand, GetFunctionCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { HeadBucketCommand } from '@aws-sdk/client-s3'
import { DescribeStateMachineCommand, SFNClient } from '@aws-sdk/client-sfn'
import { openClients } from '../../runtime/aws/clients.ts'
import { clientOptions } from './resources.ts'

export interface StackResource {
  readonly logicalId: string
  readonly type: string
  readonly id: string
}

export async function stackExists(StackName: string): Promise<boolean> {
  const client = new CloudFormationClient(clientOptions)
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName }))
    return Stacks.some(({ StackStatus }) => StackStatus !== 'DELETE_COMPLETE')
  } catch (error) {
    if (/does not exist/.test((error as Error).message)) return false
    throw error
  } finally {
    client.destroy()
  }
}

export async function resourcesOf(StackName: string): Promise<StackResource[]> {
  const client = new CloudFormationClient(clientOptions)
  const found: StackResource[] = []
  for await (const { StackResourceSummaries = [] } of paginateListStackResources({ client }, { StackName }))
    for (const r of StackResourceSummaries)
      found.push({ logicalId: r.LogicalResourceId!, type: r.ResourceType!, id: r.PhysicalResourceId ?? '' })
  client.destroy()
  return found
}

/** Types of what is still there of these, which are all that a stack had. Only of those kinds that hold data or cost something. */
export async function remains(resources: readonly StackResource[]): Promise<string[]> {
  const { s3, dynamodb, kinesis, close } = openClients(clientOptions)
  const lambda = new LambdaClient(clientOptions)
  const sfn = new SFNClient(clientOptions)
  const look: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
    'AWS::S3::Bucket': Bucket => s3.send(new HeadBucketCommand({ Bucket })),
    'AWS::DynamoDB::Table': TableName => dynamodb.send(new DescribeTableCommand({ TableName })),
    'AWS::Kinesis::Stream': StreamName => kinesis.send(new DescribeStreamSummaryCommand({ StreamName })),
    'AWS::Lambda::Function': FunctionName => lambda.send(new GetFunctionCommand({ FunctionName })),
    'AWS::Lambda::EventSourceMapping': UUID => lambda.send(new GetEventSourceMappingCommand({ UUID })),
    'AWS::StepFunctions::StateMachine': stateMachineArn => sfn.send(new DescribeStateMachineCommand({ stateMachineArn })),
    'AWS::SQS::Queue': async url => {
      const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ Action: 'GetQueueAttributes' }) })
      if (!answer.ok) throw new Gone()
    },
  }
  const left: string[] = []
  for (const { type, id } of resources) {
    try {
      if (look[type] === undefined) continue
      await look[type](id)
      left.push(type)
    } catch (error) {
      if (!/NotFound|NoSuch|DoesNotExist|Gone/.test((error as Error).name)) throw error
    }
  }
  close()
  lambda.destroy()
  sfn.destroy()
  return left.sort()
}

class Gone extends Error {
  override readonly name = 'Gone'
}
