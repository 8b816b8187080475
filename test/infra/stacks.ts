import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { App, Stack, type StackProps, Validations } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { AwsSolutionsChecks } from 'cdk-nag'
import { acknowledge } from '../../infra/acknowledge.ts'
import { MillracePipeline, type MillracePipelineProps } from '../../infra/index.ts'

// CDK checks each template against CloudFormation's schemas, for seconds. It does for the example (app.test.ts).
process.env.CDK_VALIDATION = 'false'

export const SHOP = fixture('shop.ts')
/** Of the shop. */
export const STAGES = ['source-clicks', 'sessions', 'pages', 'source-orders', 'buyers']

export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
}

/** An app whose functions are not bundled: their code is of no interest. */
export function plainApp(): App {
  return new App({ context: { 'aws:cdk:bundling-stacks': [] } })
}

export interface Made {
  readonly app: App
  readonly stack: Stack
  readonly pipeline: MillracePipeline
  template(): Template
}

type Props = Partial<MillracePipelineProps>

/** The shop in a stack, with streams and a bucket of the user's. */
export function shop(
  props: Props | ((stack: Stack) => Props) = {},
  { app = plainApp(), ...stackProps }: StackProps & { app?: App } = {},
): Made {
  const stack = new Stack(app, 'Stack', stackProps)
  const stream = (id: string) =>
    new Stream(stack, id, { streamMode: StreamMode.PROVISIONED, shardCount: 2, encryption: StreamEncryption.MANAGED })
  const bucket = new Bucket(stack, 'Results', { enforceSSL: true })
  // So that cdk-nag has nothing to say about what is not the pipeline's.
  acknowledge(bucket, { 'AwsSolutions-S1': 'a test' })
  const pipeline = new MillracePipeline(stack, 'Shop', {
    entry: SHOP,
    sources: { clicks: stream('Clicks'), orders: stream('Orders') },
    sinks: { pages: { bucket }, buyers: { bucket, prefix: 'b/' } },
    ...(typeof props === 'function' ? props(stack) : props),
  })
  return { app, stack, pipeline, template: () => Template.fromStack(stack) }
}

export type Resource = { readonly Type: string; readonly Properties: any; readonly [attribute: string]: any }

export function resources(template: Template, type: string): Record<string, Resource> {
  return template.findResources(type) as Record<string, Resource>
}

/** Functions of the pipeline by their entry and stage: `stage pages`, `cut source-clicks`, `checkpoint`. */
export function functions(template: Template): Record<string, Resource & { readonly logicalId: string }> {
  const found = Object.entries(resources(template, 'AWS::Lambda::Function')).flatMap(([logicalId, fn]) => {
    const variables = fn.Properties.Environment?.Variables
    if (variables?.MILLRACE_PREFIX === undefined) return []
    const name = fn.Properties.Handler.replace('.handler', '')
    return [[variables.MILLRACE_STAGE ? `${name} ${variables.MILLRACE_STAGE}` : name, { ...fn, logicalId }] as const]
  })
  return Object.fromEntries(found)
}

export interface Statement {
  readonly Action: string | string[]
  readonly Resource: unknown
  readonly Condition?: unknown
}

/** All that a role may do. */
export function statementsOf(template: Template, roleId: string): Statement[] {
  return Object.values(resources(template, 'AWS::IAM::Policy'))
    .filter(policy => policy.Properties.Roles.some((role: { Ref: string }) => role.Ref === roleId))
    .flatMap(policy => policy.Properties.PolicyDocument.Statement)
}

/** The actions that a role may take on something whose ARN mentions `resource`. */
export function actionsOn(template: Template, roleId: string, resource: string): string[] {
  return statementsOf(template, roleId)
    .filter(statement => JSON.stringify(statement.Resource).includes(resource))
    .flatMap(statement => statement.Action)
    .sort()
}

export interface Finding {
  readonly rule: string
  readonly resource: string
}

/** What cdk-nag's AwsSolutions checks find in the pipeline itself, warnings too. */
export function nagFindings({ app, stack }: Pick<Made, 'app' | 'stack'>, below = 'Shop/'): string[] {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  const exitCode = process.exitCode
  try {
    // Made again: the plugin has not seen what was made before.
    app.synth({ force: true })
  } catch (error) {
    if (!(error as Error).message.includes('Validation failed')) throw error
    process.exitCode = exitCode
  }
  const report = JSON.parse(readFileSync(join(app.outdir, 'validation-report.json'), 'utf8'))
  const rules = report.pluginReports.flatMap((plugin: any) =>
    plugin.violations.flatMap(({ ruleName, violatingConstructs }: any) =>
      violatingConstructs.map(({ constructPath }: any) => `${ruleName} ${constructPath}`),
    ),
  )
  return rules.filter((rule: string) => rule.includes(`${stack.node.path}/${below}`))
}
