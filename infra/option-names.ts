import { suggest } from '../runtime/suggest.ts'
import { InfraError } from './error.ts'
import type { FilesInBucket, MillracePipelineProps, StageProps } from './props.ts'

/** tsc sees to it that these are all. */
type Names<T> = Readonly<Record<keyof T, true>>

const STAGE: Names<StageProps> = { parallelism: true, memorySize: true, timeout: true, batching: true, enhancedFanOut: true }
const PIPELINE: Names<MillracePipelineProps> = {
  ...STAGE,
  entry: true,
  sources: true,
  sinks: true,
  stages: true,
  environment: true,
  checkpointInterval: true,
  checkpointTimeout: true,
  encryptionKey: true,
  bucket: true,
  onFailure: true,
  vpc: true,
  vpcSubnets: true,
  securityGroups: true,
  tags: true,
  metrics: true,
  logRetention: true,
  removalPolicy: true,
}
const BATCHING: Names<Required<StageProps>['batching']> = { size: true, window: true }
const FILES: Names<FilesInBucket> = { bucket: true, prefix: true }

/** What tsc would say of the construct's arguments: apps in JavaScript, and those that tsx runs, are not checked. @throws InfraError */
export function checkOptionNames(props: MillracePipelineProps): void {
  check('', props, PIPELINE)
  if (typeof props.entry !== 'string')
    throw new InfraError("entry is missing: name the pipeline's file, as in `entry: 'views.ts'`")
  if (props.sources === undefined)
    throw new InfraError('sources is missing: say what each source reads, as in `sources: { views: stream }`')
  if (props.batching !== undefined) check('batching.', props.batching, BATCHING)
  for (const [id, stage] of Object.entries(props.stages ?? {})) {
    check(`stages.${id}.`, stage, STAGE)
    if (stage.batching !== undefined) check(`stages.${id}.batching.`, stage.batching, BATCHING)
  }
  for (const [name, files] of Object.entries(props.sinks ?? {})) check(`sinks.${name}.`, files, FILES)
}

function check<T extends object>(where: string, given: T, known: Names<T>): void {
  const names = Object.keys(known)
  const unknown = Object.keys(given ?? {}).find(name => !names.includes(name))
  if (unknown === undefined) return
  const inside = where === '' ? 'MillracePipeline' : where.slice(0, -1)
  throw new InfraError(`${inside} has no option '${unknown}'${suggest(unknown, names)}`)
}
