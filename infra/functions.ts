import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { Architecture, type Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import type { FunctionName } from './bundle.ts'

/** What all functions of a pipeline have in common. */
export interface FunctionDefaults {
  readonly code: Code
  readonly environment: Readonly<Record<string, string>>
  readonly logRetention: RetentionDays | undefined
  readonly key: IKey | undefined
}

export interface FunctionOwn {
  readonly entry: FunctionName
  readonly description: string
  readonly memorySize: number
  readonly timeout: Duration
  readonly environment?: Readonly<Record<string, string>>
}

/** A whole CPU: below that, a function gets a part of one. */
export const MEMORY_MB = 1769
export const TIMEOUT_MAX = Duration.minutes(15)

/** A function with a role of its own that may do nothing yet but write its own log. */
export function makeFunction(scope: Construct, id: string, defaults: FunctionDefaults, own: FunctionOwn): LambdaFunction {
  const logGroup = new LogGroup(scope, `${id}Log`, {
    retention: defaults.logRetention ?? RetentionDays.ONE_MONTH,
    encryptionKey: defaults.key,
    // Logs are no state.
    removalPolicy: RemovalPolicy.DESTROY,
  })
  const role = new Role(scope, `${id}Role`, {
    assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    description: own.description,
  })
  role.addToPolicy(
    new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] }),
  )
  return new LambdaFunction(scope, id, {
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    code: defaults.code,
    handler: `${own.entry}.handler`,
    description: own.description,
    memorySize: own.memorySize,
    timeout: own.timeout,
    environment: { ...defaults.environment, ...own.environment },
    environmentEncryption: defaults.key,
    logGroup,
    role,
  })
}
