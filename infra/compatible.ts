import { CustomResource, Duration } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { PhysicalPlan } from '../runtime/graph/plan.ts'
import { shapeOf } from '../runtime/graph/shape.ts'
import type { StateBackendName } from '../runtime/state/backend.ts'
import { type FunctionDefaults, makeFunction } from './functions.ts'
import { grantLooking } from './grants.ts'
import type { MillracePipelineProps } from './props.ts'
import type { Storage } from './storage.ts'

const MEMORY_MB = 512
const TIMEOUT = Duration.minutes(1)

/**
 * Asks, before anything else is changed, whether the state that is there fits the pipeline as it is now; what depends on the answer depends on this. Outside of the VPC: it answers to a URL of S3.
 */
export function checkCompatible(
  scope: Construct,
  defaults: FunctionDefaults,
  plan: PhysicalPlan,
  storage: Storage,
  stateBackend: StateBackendName,
  newRun: MillracePipelineProps['newRun'],
): CustomResource {
  const description = `Millrace ${plan.graph.name}: whether the state fits`
  const own = { entry: 'compatible', description, memorySize: MEMORY_MB, timeout: TIMEOUT } as const
  const check = makeFunction(scope, 'Compatible', { ...defaults, network: undefined }, own)
  grantLooking(check, storage)
  return new CustomResource(scope, 'CompatibleState', {
    resourceType: 'Custom::MillraceCompatibleState',
    serviceToken: check.functionArn,
    properties: {
      Pipeline: plan.graph.name,
      Shape: shapeOf(plan),
      StateBackend: stateBackend,
      ...(newRun !== undefined && { NewRun: newRun.allowDrop === true ? 'drop' : 'keep' }),
    },
    serviceTimeout: Duration.minutes(5),
  })
}
