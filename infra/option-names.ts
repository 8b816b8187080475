import { suggest } from '../runtime/suggest.ts'
import { InfraError } from './error.ts'
import type { BackfillProps, FilesInBucket, MillracePipelineProps, StageProps } from './props.ts'
import type { KafkaTopic, ObjectsInBucket, TableChanges } from './sources.ts'

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
  stopped: true,
  checkpointTimeout: true,
  encryptionKey: true,
  bucket: true,
  stateBackend: true,
  backfill: true,
  newRun: true,
  onFailure: true,
  vpc: true,
  vpcSubnets: true,
  securityGroups: true,
  tags: true,
  metrics: true,
  replacedRunRetention: true,
  logRetention: true,
  removalPolicy: true,
}
const BATCHING: Names<Required<StageProps>['batching']> = { size: true, window: true }
const BACKFILL: Names<BackfillProps> = { archives: true, memorySize: true }
const FILES: Names<FilesInBucket> = { bucket: true, prefix: true }

const TOPIC: Names<KafkaTopic> = {
  topic: true,
  partitions: true,
  clusterArn: true,
  bootstrapServers: true,
  secret: true,
  authentication: true,
  rootCertificate: true,
  vpc: true,
  vpcSubnets: true,
  securityGroup: true,
}
const CHANGES: Names<TableChanges> = { table: true, subtasks: true }
const OBJECTS: Names<ObjectsInBucket> = { bucket: true, prefix: true, suffix: true, subtasks: true }

/** What tsc would say of the construct's arguments: apps in JavaScript, and those that tsx runs, are not checked. @throws InfraError */
export function checkOptionNames(props: MillracePipelineProps): void {
  check('', props, PIPELINE)
  if (typeof props.entry !== 'string')
    throw new InfraError("entry is missing: name the pipeline's file, as in `entry: 'views.ts'`")
  if (props.sources === undefined)
    throw new InfraError('sources is missing: say what each source reads, as in `sources: { views: stream }`')
  if (props.backfill !== undefined) check('backfill.', props.backfill, BACKFILL)
  for (const [i, archive] of (props.backfill?.archives ?? []).entries()) check(`backfill.archives[${i}].`, archive, FILES)
  if (props.batching !== undefined) check('batching.', props.batching, BATCHING)
  for (const [id, stage] of Object.entries(props.stages ?? {})) {
    check(`stages.${id}.`, stage, STAGE)
    if (stage.batching !== undefined) check(`stages.${id}.batching.`, stage.batching, BATCHING)
  }
  for (const [name, source] of Object.entries(props.sources)) checkSourceNames(`sources.${name}`, source)
  for (const [name, files] of Object.entries(props.sinks ?? {})) {
    check(`sinks.${name}.`, files, FILES)
    need(`sinks.${name}`, files, 'bucket')
  }
}

function checkSourceNames(at: string, source: object | null | undefined): void {
  if (typeof source !== 'object' || source === null)
    throw new InfraError(
      `${at} is ${typeof source === 'string' ? `'${source}'` : String(source)}: give it a stream, as in \`Stream.fromStreamArn(this, 'Views', arn)\`, or { kafka }, { changes } or { objects }`,
    )
  if ('streamArn' in source) return
  const kinds = { kafka: TOPIC, changes: CHANGES, objects: OBJECTS }
  check(`${at}.`, source, { kafka: true, changes: true, objects: true } satisfies Names<typeof kinds>)
  const given = Object.entries(source) as [keyof typeof kinds, object][]
  const [kind, settings] = given[0] ?? []
  if (kind === undefined || given.length > 1)
    throw new InfraError(
      `${at} ${kind === undefined ? 'is empty' : 'reads several things'}: give it one of { kafka }, { changes } and { objects }, or a stream`,
    )
  if (typeof settings !== 'object' || settings === null)
    throw new InfraError(`${at}.${kind} is ${String(settings)}: say what to read`)
  check(`${at}.${kind}.`, settings, kinds[kind])
  if (kind === 'changes') need(`${at}.changes`, settings, 'table')
  if (kind === 'objects') need(`${at}.objects`, settings, 'bucket')
}

function need(at: string, given: object, name: string): void {
  if (typeof (given as Record<string, unknown>)?.[name] !== 'object')
    throw new InfraError(`${at}.${name} is missing: give it the ${name}`)
}

function check<T extends object>(where: string, given: T, known: Names<T>): void {
  const names = Object.keys(known)
  const unknown = Object.keys(given ?? {}).find(name => !names.includes(name))
  if (unknown === undefined) return
  const inside = where === '' ? 'MillracePipeline' : where.slice(0, -1)
  throw new InfraError(`${inside} has no option '${unknown}'${suggest(unknown, names)}`)
}
