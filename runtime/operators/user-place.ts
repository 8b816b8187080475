import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const RUNTIME = fileURLToPath(new URL('..', import.meta.url))

/** Where in its author's code an error arose: `pipeline.ts:12`, relative to the working directory. Undefined when its stack leads through none. */
export function userPlace(error: unknown): string | undefined {
  const stack = error instanceof Error ? error.stack : undefined
  const frames = (stack ?? '').split('\n').flatMap(frameOf)
  const own = frames.find(f => !f.file.includes(`${sep}node_modules${sep}`)) ?? frames[0]
  return own && `${shown(own.file)}:${own.line}`
}

/** `    at add (file:///app/views.ts:12:9)`, unless it is of this runtime or of Node. */
function frameOf(text: string): { file: string; line: string }[] {
  const [, place, line] = /^\s+at (?:.*\()?(.+?):(\d+):\d+\)?$/.exec(text) ?? []
  if (place === undefined || place.startsWith('node:')) return []
  const file = place.startsWith('file:') ? fileURLToPath(place) : place
  return file.startsWith(RUNTIME) || !file.includes(sep) ? [] : [{ file, line: line! }]
}

function shown(file: string): string {
  const path = relative('', file)
  return path.startsWith('..') ? file : path
}
