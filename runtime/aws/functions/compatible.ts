import { checkBackend, hadShape, readRun } from '../../checkpoint/run-meta.ts'
import { checkTakeOver } from '../../checkpoint/take-over.ts'
import { MillraceError } from '../../errors.ts'
import type { Ports } from '../../ports.ts'
import type { StateBackendName } from '../../state/backend.ts'

/** What CloudFormation asks of a custom resource: the part of it that is used here. */
export interface CustomResourceEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete'
  readonly ResponseURL: string
  readonly StackId: string
  readonly RequestId: string
  readonly LogicalResourceId: string
  readonly PhysicalResourceId?: string
  readonly ResourceProperties: {
    /** The pipeline's name. */
    readonly Pipeline: string
    /** What its state depends on (graph/shape.ts). */
    readonly Shape: string
    /** Where it is to lie. Absent: the resource was made before there was a choice. */
    readonly StateBackend?: StateBackendName
    /** A new run is to start from a checkpoint: `keep` its state, or `drop` what nothing takes over. Absent: the run goes on. */
    readonly NewRun?: 'keep' | 'drop'
  }
}

/** An answer has 4 KB. */
const REASON_CHARS = 2_000

/**
 * A deployment's first step: whether the state that is there fits the code that is to come. If it does not, the deployment is rolled back before anything was changed. It goes by the properties
 * alone, not by the code that it is deployed with, so that the rollback, which asks with the old ones, is let through.
 */
export function compatibleHandler(
  ports: Pick<Ports, 'log'>,
  respond: (url: string, body: string) => Promise<void> = put,
): (event: CustomResourceEvent) => Promise<void> {
  return async event => {
    const { ResponseURL, StackId, RequestId, LogicalResourceId, PhysicalResourceId = LogicalResourceId } = event
    const reason = event.RequestType === 'Delete' ? undefined : await refusal(ports, event.ResourceProperties)
    const status = reason === undefined ? { Status: 'SUCCESS' } : { Status: 'FAILED', Reason: reason.slice(0, REASON_CHARS) }
    await respond(ResponseURL, JSON.stringify({ ...status, StackId, RequestId, LogicalResourceId, PhysicalResourceId }))
  }
}

/** Undefined: it fits, or there is no state yet. Whatever goes wrong is an answer too: without one, CloudFormation waits. */
async function refusal(
  ports: Pick<Ports, 'log'>,
  { Pipeline: pipeline, Shape: shape, StateBackend: stateBackend, NewRun: newRun }: CustomResourceEvent['ResourceProperties'],
): Promise<string | undefined> {
  try {
    const meta = await readRun(ports)
    if (meta === undefined) return undefined
    checkBackend(meta, { stateBackend }, 'the state of this stack', 'or deploy a stack of its own')
    // The code that wrote it; or that of before, to which a deployment is rolled back whose functions have begun to write newer versions: those it will refuse, by name.
    if (meta.pipeline === pipeline && (await hadShape(ports, meta, shape))) return undefined
    checkTakeOver(meta, { pipeline, shape }, { newRun: newRun && { allowDrop: newRun === 'drop' } })
    return undefined
  } catch (error) {
    if (error instanceof MillraceError && !error.retryable) return error.message
    return `whether the state fits could not be found out: ${error instanceof Error ? error.message : String(error)}`
  }
}

async function put(url: string, body: string): Promise<void> {
  // The URL is signed without a type of content.
  const { ok, status } = await fetch(url, { method: 'PUT', body, headers: { 'content-type': '' } })
  if (!ok) throw new MillraceError(`CloudFormation did not take the answer: HTTP ${status}`)
}
