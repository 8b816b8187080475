export { type Aggregate, aggregate, all, avg, count, countDistinct, filtered, max, min, sum } from './api/aggregate.ts'
export type { AsyncOptions } from './api/async.ts'
export type { Changelog } from './api/changelog.ts'
export type { BroadcastStream } from './api/connected.ts'
export type { Duration } from './api/duration.ts'
export { PipelineError } from './api/error.ts'
export type { KeyedStream } from './api/keyed-stream.ts'
export { type Pipeline, pipeline } from './api/pipeline.ts'
export { type DeadLetter, ndjson, type SourceFormat, type SourceOptions } from './api/source.ts'
export { aggregating, list, map, reducing, value } from './api/state.ts'
export type { AsyncBatchOptions, Stream } from './api/stream.ts'
export { sideOutput } from './api/tag.ts'
export type { WindowContext, WindowedStream, WindowInfo } from './api/windowed-stream.ts'
export { customSink } from './connectors/custom.ts'
export type { DeliveryGuarantee } from './connectors/delivery.ts'
export { fileSink } from './connectors/file-sink.ts'
export { fileSource } from './connectors/file-source.ts'
export { type HttpOptions, httpSink } from './connectors/http-sink.ts'
export { print } from './connectors/print.ts'
export { type RedisOptions, redis } from './connectors/redis.ts'
export type { CommitIdentity, Sink, SinkCommitContext, SinkContext, SinkState, SinkWriter } from './connectors/sink.ts'
export type { SourceBatch, SourceConnector, SourcePosition, SplitReader } from './connectors/source.ts'
export { MillraceError } from './errors.ts'
export type { PipelineOptions } from './graph/graph.ts'
export type { Key } from './graph/key.ts'
export type { AsyncFailure } from './operators/async-options.ts'
export type { Change, ChangeKind } from './operators/change.ts'
export type { OutputTag } from './operators/output-tag.ts'
export type { Ranked } from './operators/top-n.ts'
export type { AggregatingState, ListState, MapState, ReducingState, ValueState } from './state/handles.ts'
export type { WatermarkGenerator, WatermarkStrategy } from './time/strategy.ts'
export { boundedOutOfOrderness, customWatermark, monotonous } from './time/watermarks.ts'
export { countWindow, globalWindow, session, sliding, tumbling, type WindowAssigner } from './windows/assigners.ts'
export { countEvictor, type Evictor, timeEvictor } from './windows/evictors.ts'
export {
  continuousEventTime,
  continuousProcessingTime,
  onCount,
  onEventTime,
  onProcessingTime,
  purging,
  type Trigger,
} from './windows/triggers.ts'
export type { TimeWindow } from './windows/window.ts'
