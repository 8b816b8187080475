/** 1234567 as `1,234,567`. */
export function count(n: number): string {
  return n.toLocaleString('en-US', { maximumFractionDigits: 0 })
}

/** `1 checkpoint`, `1,200 checkpoints`. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`
}

/** Events a second, to three digits: `950`, `12.3 k`, `1.20 M`. */
export function rate(perSecond: number): string {
  if (perSecond < 1000) return `${Math.round(perSecond)}`
  const [value, unit] = perSecond < 999_500 ? [perSecond / 1e3, 'k'] : [perSecond / 1e6, 'M']
  return `${value.toPrecision(3)} ${unit}`
}

export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = n < 1000 ? 0 : Math.min(Math.floor(Math.log10(n) / 3), units.length - 1)
  return `${power === 0 ? n : (n / 1000 ** power).toFixed(1)} ${units[power]}`
}

/** Milliseconds, coarsely: `350 ms`, `12.3 s`, `5 min 3 s`, `2 h 5 min`, `412 d`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${count(Math.floor(seconds / 86_400))} d`
}

/** Epoch ms as ISO time; before the first record and at the end of the input there is none. */
export function watermark(timestamp: number): string {
  if (timestamp === Number.NEGATIVE_INFINITY) return 'none yet'
  if (timestamp === Number.POSITIVE_INFINITY) return 'end of input'
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? `${timestamp}` : date.toISOString()
}

/** Rows under a heading, columns aligned. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)))
  return rows
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
