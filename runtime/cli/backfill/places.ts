import { statSync } from 'node:fs'
import { join } from 'node:path'
import { isS3 } from '../../batch/input-files.ts'
import { list, suggest } from '../../suggest.ts'
import { UsageError } from '../error.ts'

/**
 * What each source reads: `--from NAME=PLACE`, or one `--from DIR` for all of them, which is the place itself of a pipeline with one source, and DIR/NAME of one with several.
 * @throws UsageError
 */
export function placesOf(names: readonly string[], given: readonly string[]): Record<string, string[]> {
  const places: Record<string, string[]> = {}
  for (const text of given) {
    // year=2026/ is no source: a name counts only where the pipeline has it.
    const name = names.find(name => text.startsWith(`${name}=`))
    for (const [source, place] of name === undefined ? spread(text, names) : [[name, text.slice(name.length + 1)] as const]) {
      if (place === '') throw new UsageError(`--from ${text}: a file or a directory is missing behind the =`)
      if (isMissing(place)) throw new UsageError(`--from ${text}: there is no ${place}${misspelt(place, names)}`)
      places[source] = [...(places[source] ?? []), place]
    }
  }
  const missing = names.find(name => places[name] === undefined)
  if (missing !== undefined)
    throw new UsageError(`the source ${missing} has nothing to read from: name it with --from ${missing}=FILE_OR_DIR`)
  return places
}

function spread(place: string, names: readonly string[]): (readonly [name: string, place: string])[] {
  if (names.length === 1) return [[names[0]!, place]]
  if (names.some(name => isMissing(below(place, name))))
    throw new UsageError(
      `--from ${place}: the pipeline has the sources ${list(names)}: give each its own with --from NAME=FILE_OR_DIR, or a directory with a folder of each name in it`,
    )
  return names.map(name => [name, below(place, name)])
}

/** `clikcs=archive`: what is before the = may have been meant as a source. */
function misspelt(place: string, names: readonly string[]): string {
  const [, name] = /^([^=/]+)=/.exec(place) ?? []
  return name === undefined || names.includes(name) ? '' : `, and no source ${name}${suggest(name, names)}`
}

/** What is in S3 shows when it is listed. */
function isMissing(place: string): boolean {
  return !isS3(place) && statSync(place, { throwIfNoEntry: false }) === undefined
}

function below(place: string, name: string): string {
  return isS3(place) ? `${place.replace(/\/$/, '')}/${name}` : join(place, name)
}
