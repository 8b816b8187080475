import { isStateText } from '../graph/state-text.ts'

/** Gives the path of what is wrong in a value; undefined: nothing is. */
type Check = (value: unknown, path: string) => string | undefined

const is =
  (test: (value: unknown) => boolean): Check =>
  (value, path) =>
    test(value) ? undefined : path

const text = is(v => typeof v === 'string')
const number = is(v => typeof v === 'number' && !Number.isNaN(v))
const whole = is(v => Number.isSafeInteger(v) && (v as number) >= 0)
const anything: Check = () => undefined

const optional =
  (check: Check): Check =>
  (value, path) =>
    value === undefined ? undefined : check(value, path)

const list =
  (check: Check): Check =>
  (value, path) =>
    Array.isArray(value) ? first(value, (v, i) => check(v, `${path}[${i}]`)) : path

/** The same number of elements, each of its own kind. */
const tuple =
  (...checks: Check[]): Check =>
  (value, path) =>
    Array.isArray(value) && value.length === checks.length ? first(checks, (check, i) => check(value[i], `${path}[${i}]`)) : path

/** These fields; others are let through, as a newer Millrace may have them. */
const fields =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value, path) =>
    isObject(value) ? first(Object.keys(checks), name => checks[name]!(value[name], within(path, name))) : path

const record =
  (check: Check): Check =>
  (value, path) =>
    isObject(value) ? first(Object.keys(value), name => check(value[name], within(path, name))) : path

const HEAD = fields({
  position: fields({ seq: text, offset: whole, frame: optional(tuple(whole, whole, whole)) }),
  source: optional(record(is(v => typeof v === 'string' || typeof v === 'number'))),
  sourceDone: is(v => typeof v === 'boolean'),
  accepted: list(tuple(whole, whole, whole)),
  watermarks: list(tuple(whole, number)),
  idle: list(whole),
  producers: optional(list(whole)),
  watermark: number,
  sent: list(tuple(whole, whole, whole, whole)),
  sentClosed: optional(list(tuple(whole, whole, whole, whole))),
  operatorWatermarks: optional(list(number)),
  firing: list(fields({ operator: whole, upTo: number })),
  lastCut: whole,
  alignment: optional(
    fields({ checkpoint: whole, version: whole, watermark: number, pending: list(whole), channelState: list(text) }),
  ),
  injection: optional(fields({ blobs: list(text), taken: whole })),
  sinks: list(tuple(whole, record(anything))),
  counts: fields({ recordsIn: whole, recordsOut: whole, deadLetters: whole, late: whole, results: whole, commits: whole }),
  takesFrom: optional(number),
  timerAt: optional(number),
})

const SUBTASK = fields({
  stage: whole,
  shard: whole,
  log: text,
  version: whole,
  attempt: text,
  head: HEAD,
  channelState: list(text),
  ended: optional(is(v => v === true)),
  settled: optional(is(v => v === true)),
  groups: optional(tuple(whole, whole)),
  runs: optional(list(list(fields({ blob: text, items: whole, bytes: whole, first: optional(text), index: optional(whole) })))),
  folded: optional(whole),
  changes: optional(list(fields({ blob: text, bytes: whole, count: optional(whole) }))),
  keyed: optional(list(text)),
})

const FILE = fields({ name: text, bytes: whole, crc32: whole })

const MANIFEST = fields({
  pipeline: text,
  run: text,
  checkpoint: whole,
  createdAt: number,
  shape: text,
  splits: record(list(text)),
  subtasks: list(SUBTASK),
  takenAt: optional(number),
  takenFrom: optional(fields({ kind: text, name: text, streams: optional(record(text)) })),
  files: optional(list(FILE)),
})

const SHAPE = fields({
  keyGroups: whole,
  stages: list(
    fields({
      id: text,
      parallelism: optional(whole),
      inputs: list(is(Array.isArray)),
      operators: list(
        fields({
          id: text,
          type: text,
          states: list(is(v => typeof v === 'string' && isStateText(v))),
          key: optional(text),
          schemas: optional(
            record(fields({ version: whole, migrates: list(whole), fields: optional(record(record(anything))) })),
          ),
        }),
      ),
    }),
  ),
})

/**
 * Which field of a manifest is not as it has to be, for those who go by it; undefined: each is. Its checksum says that it is what was written, not that this Millrace can read it.
 */
export function manifestFault(manifest: unknown): string | undefined {
  const fault = MANIFEST(manifest, '')
  if (fault !== undefined) return fault === '' ? 'its body' : fault
  const { shape, subtasks } = manifest as { shape: string; subtasks: readonly { stage: number }[] }
  const parsed = parse(shape)
  const wrong = SHAPE(parsed, 'shape')
  if (wrong !== undefined) return wrong
  const { stages } = parsed as { stages: readonly unknown[] }
  const stranger = subtasks.findIndex(({ stage }) => stage >= stages.length)
  return stranger === -1 ? undefined : `subtasks[${stranger}].stage`
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function first<T>(all: readonly T[], fault: (item: T, index: number) => string | undefined): string | undefined {
  for (let i = 0; i < all.length; i++) {
    const found = fault(all[i]!, i)
    if (found !== undefined) return found
  }
  return undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function within(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
