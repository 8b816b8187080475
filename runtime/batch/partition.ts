/** From <= time < to, epoch ms. */
export interface TimeStretch {
  readonly from: number
  readonly to: number
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const DAY_NAMES = ['date', 'dt', 'day']

/**
 * The stretch of time (UTC) that the folders of a path say its file is of: `year=2026/month=01/day=31/hour=05` and less of it, `date=2026-01-31` (or `dt=`, `day=`) with an `hour=` or without, and what
 * Firehose writes, `2026/01/31/05`. Undefined: they say nothing.
 */
export function partitionOf(path: string): TimeStretch | undefined {
  const folders = path.split('/').slice(0, -1)
  return named(folders) ?? numbered(folders)
}

function named(folders: readonly string[]): TimeStretch | undefined {
  const fields = new Map(folders.flatMap(folder => pairOf(folder)))
  const date = DAY_NAMES.map(name => fields.get(name)).find(text => text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text))
  const parts = date?.split('-') ?? numbers(['year', 'month', 'day'].map(name => fields.get(name)))
  const hour = parts.length === 3 ? numbers([fields.get('hour')]) : []
  return stretchOf([...parts, ...hour].map(Number))
}

function pairOf(folder: string): (readonly [name: string, value: string])[] {
  const equals = folder.indexOf('=')
  return equals < 1 ? [] : [[folder.slice(0, equals).toLowerCase(), folder.slice(equals + 1)]]
}

/** As many as are there in a row. */
function numbers(texts: readonly (string | undefined)[]): string[] {
  const end = texts.findIndex(text => text === undefined || !/^\d{1,4}$/.test(text))
  return texts.slice(0, end === -1 ? texts.length : end).map(text => text!)
}

/** The last folders that look like it: those before may be anything. */
function numbered(folders: readonly string[]): TimeStretch | undefined {
  for (let i = folders.length - 2; i >= 0; i--) {
    if (!/^(19|20)\d{2}$/.test(folders[i]!)) continue
    const rest = folders.slice(i + 1, i + 4)
    const end = rest.findIndex(folder => !/^\d{2}$/.test(folder))
    const parts = [folders[i]!, ...rest.slice(0, end === -1 ? rest.length : end)]
    if (parts.length > 1) return stretchOf(parts.map(Number))
  }
  return undefined
}

function stretchOf(parts: readonly number[]): TimeStretch | undefined {
  const [year, month, day, hour] = parts
  if (year === undefined || year < 1000) return undefined
  if (month === undefined) return { from: Date.UTC(year, 0), to: Date.UTC(year + 1, 0) }
  if (month < 1 || month > 12) return undefined
  if (day === undefined) return { from: Date.UTC(year, month - 1), to: Date.UTC(year, month) }
  if (day < 1 || day > 31) return undefined
  const from = Date.UTC(year, month - 1, day)
  if (hour === undefined) return { from, to: from + DAY_MS }
  return hour > 23 ? undefined : { from: from + hour * HOUR_MS, to: from + (hour + 1) * HOUR_MS }
}
