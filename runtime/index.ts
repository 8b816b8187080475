export { type Aggregate, aggregate, all, avg, count, countDistinct, filtered, max, min, sum } from './api/aggregate.ts'
export type { AsyncOptions } from './api/async.ts'
export type { Changelog, KeyedChangelog } from './api/changelog.ts'
export type {
  BroadcastConnectedStreams,
  BroadcastFunctions,
  BroadcastStream,
  CoFunctions,
  ConnectedStreams,
  KeyedCoFunctions,
  KeyedConnectedStreams,
} from './api/connected.ts'
export type {
  BroadcastRecordContext,
  KeyedBroadcastRecordContext,
  KeyedContext,
  Results,
  StreamContext,
} from './api/context.ts'
export { type Duration, DurationError } from './api/duration.ts'
export { PipelineError } from './api/error.ts'
export type { BoundedIntervalJoin, IntervalJoin, Join, WindowedJoin, WindowJoin } from './api/joins.ts'
export type { KeyedFunctions, KeyedStream } from './api/keyed-stream.ts'
export type { KeyField } from './api/keys.ts'
export { type Pipeline, pipeline } from './api/pipeline.ts'
export type { SinkHandle } from './api/sink.ts'
export { type DeadLetter, ndjson, type SourceFormat, type SourceOptions, type SourceStream } from './api/source.ts'
export { aggregating, list, type MapStateOptions, map, reducing, type StateOptions, type TtlOption, value } from './api/state.ts'
export type { AsyncBatchOptions, Stream } from './api/stream.ts'
export { sideOutput } from './api/tag.ts'
export type { WindowContext, WindowedStream, WindowInfo } from './api/windowed-stream.ts'
export type { Begin, Match, Pattern } from './cep/pattern.ts'
export { noSkip, type SkipStrategy, skipPastLastEvent, skipToFirst, skipToLast, skipToNext } from './cep/skip.ts'
export { StateMismatchError } from './checkpoint/run-meta.ts'
export { type CustomWriter, customSink } from './connectors/custom.ts'
export type { DeliveryGuarantee } from './connectors/delivery.ts'
export { ConnectorError } from './connectors/error.ts'
export { fileSink } from './connectors/file-sink.ts'
export { fileSource } from './connectors/file-source.ts'
export { type HttpOptions, httpSink } from './connectors/http-sink.ts'
export { print } from './connectors/print.ts'
export { type RedisOptions, redis } from './connectors/redis.ts'
export type { CommitIdentity, Sink, SinkCommitContext, SinkContext, SinkState, SinkWriter } from './connectors/sink.ts'
export type { SourceBatch, SourceConnector, SourcePosition, SplitReader } from './connectors/source.ts'
export type { Progress, RunSummary } from './embedded/run-options.ts'
export { MillraceError } from './errors.ts'
export type { PipelineOptions } from './graph/graph.ts'
export { type Key, KeyError, type KeyPart } from './graph/key.ts'
export { AsyncCallError, AsyncTimeoutError } from './operators/async-attempts.ts'
export type { AsyncCall, AsyncFailure, KeyedAsyncCall } from './operators/async-options.ts'
export type { Change, ChangeKind } from './operators/change.ts'
export type { OutputTag } from './operators/output-tag.ts'
export type { TimeDomain, TimerService } from './operators/process-context.ts'
export type { Ranked } from './operators/top-n.ts'
export { UserCodeError } from './operators/user-code.ts'
export { StateError } from './state/error.ts'
export type { AggregatingState, ListState, MapState, ReducingState, ValueState } from './state/handles.ts'
export type { AggregatingSpec, HandlesOf, ListSpec, MapSpec, ReducingSpec, StateSpecs, ValueSpec } from './state/spec.ts'
export type { WatermarkGenerator, WatermarkStrategy } from './time/strategy.ts'
export { boundedOutOfOrderness, customWatermark, monotonous } from './time/watermarks.ts'
export { countWindow, globalWindow, session, sliding, tumbling, type WindowAssigner } from './windows/assigners.ts'
export { countEvictor, type Evictor, type TimestampedValue, timeEvictor } from './windows/evictors.ts'
export {
  continuousEventTime,
  continuousProcessingTime,
  type MergeContext,
  onCount,
  onEventTime,
  onProcessingTime,
  purging,
  type Trigger,
  type TriggerContext,
  type TriggerResult,
} from './windows/triggers.ts'
export type { TimeWindow } from './windows/window.ts'
