import { Duration, RemovalPolicy, type Size } from 'aws-cdk-lib'
import { type ISecurityGroup, type IVpc, SecurityGroup, type SubnetSelection } from 'aws-cdk-lib/aws-ec2'
import { type IRole, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { Architecture, type Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import type { FunctionName } from './bundle.ts'
import { InfraError } from './error.ts'
import { grantVpc } from './grants.ts'
import type { MillracePipelineProps } from './props.ts'

/** What all functions of a pipeline have in common. */
export interface FunctionDefaults {
  readonly code: Code
  readonly environment: Readonly<Record<string, string>>
  readonly logRetention: RetentionDays | undefined
  readonly key: IKey | undefined
  readonly network: Network | undefined
}

export interface Network {
  readonly vpc: IVpc
  readonly vpcSubnets: SubnetSelection | undefined
  readonly securityGroups: ISecurityGroup[]
}

export interface FunctionOwn {
  readonly entry: FunctionName
  readonly description: string
  readonly memorySize: number
  readonly timeout: Duration
  readonly environment?: Readonly<Record<string, string>>
  /** Of another function, whose rights it has too. Default: one of its own. */
  readonly role?: IRole
  /** Disk. Default 512 MB. */
  readonly ephemeralStorageSize?: Size
}

export const TIMEOUT_MAX = Duration.minutes(15)

/** A function with a role that may do nothing yet but write its own log, unless it is another's. */
export function makeFunction(scope: Construct, id: string, defaults: FunctionDefaults, own: FunctionOwn): LambdaFunction {
  const logGroup = new LogGroup(scope, `${id}Log`, {
    retention: defaults.logRetention ?? RetentionDays.ONE_MONTH,
    encryptionKey: defaults.key,
    // Logs are no state.
    removalPolicy: RemovalPolicy.DESTROY,
  })
  const role =
    own.role ??
    new Role(scope, `${id}Role`, {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: own.description,
    })
  role.addToPrincipalPolicy(
    new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] }),
  )
  const made = new LambdaFunction(scope, id, {
    ...defaults.network,
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    code: defaults.code,
    handler: `${own.entry}.handler`,
    description: own.description,
    memorySize: own.memorySize,
    timeout: own.timeout,
    ephemeralStorageSize: own.ephemeralStorageSize,
    environment: { ...defaults.environment, ...own.environment },
    environmentEncryption: defaults.key,
    logGroup,
    role,
  })
  if (defaults.network !== undefined) grantVpc(made)
  return made
}

/** One security group for all functions, unless there are some: nothing is allowed in, and all out. */
export function makeNetwork(scope: Construct, { vpc, vpcSubnets, securityGroups }: MillracePipelineProps): Network | undefined {
  if (vpc === undefined) {
    if (vpcSubnets === undefined && securityGroups === undefined) return undefined
    throw new InfraError('vpcSubnets and securityGroups are of a VPC: name it in vpc')
  }
  const own = () => new SecurityGroup(scope, 'SecurityGroup', { vpc, description: 'Functions of a Millrace pipeline' })
  return { vpc, vpcSubnets, securityGroups: securityGroups === undefined ? [own()] : [...securityGroups] }
}
