export { InfraError } from './error.ts'
export { type DeployedStage, MillracePipeline } from './pipeline.ts'
export type { FilesInBucket, MillracePipelineProps, StageProps } from './props.ts'
export type { Storage } from './storage.ts'
