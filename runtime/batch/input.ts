import { BackfillError } from './error.ts'
import { type FileRef, localFiles } from './input-files.ts'
import type { Job } from './job.ts'
import type { BoundedOptions } from './options.ts'
import { partitionOf } from './partition.ts'
import { cutFiles, type Piece } from './pieces.ts'

const SLACK_MS = 86_400_000

/** What each of a pipeline's sources has to read, by their names, in pieces. @throws BackfillError for one that has nothing, or is none */
export async function inputOf(
  names: readonly string[],
  options: Pick<BoundedOptions, 'sources' | 'pieceBytes' | 'input' | 'since' | 'until' | 'slackMs'>,
): Promise<Pick<Job, 'pieces' | 'skippedFiles'>> {
  const { sources, pieceBytes, input = localFiles } = options
  const unknown = Object.keys(sources).find(name => !names.includes(name))
  if (unknown !== undefined)
    throw new BackfillError(`the pipeline has no source '${unknown}'; its sources are ${names.map(n => `'${n}'`).join(', ')}`)
  const pieces: Record<string, Piece[]> = {}
  let skippedFiles = 0
  for (const name of names) {
    const places = sources[name]
    if (places === undefined) throw new BackfillError(`source '${name}' has nothing to read from: give it files or a directory`)
    const listed = (await Promise.all(places.map(place => input.list(place)))).flat()
    const files = [...new Map(listed.map(file => [file.path, file])).values()]
    const wanted = files.filter(file => mayHold(file, options))
    skippedFiles += files.length - wanted.length
    pieces[name] = await cutFiles(wanted, pieceBytes, input)
  }
  return { pieces, skippedFiles }
}

/** Whether a record of the wanted time may be in the file. */
function mayHold(
  { path }: FileRef,
  { since, until, slackMs = SLACK_MS }: Pick<BoundedOptions, 'since' | 'until' | 'slackMs'>,
): boolean {
  const stretch = partitionOf(path)
  if (stretch === undefined) return true
  return (
    stretch.to > (since ?? Number.NEGATIVE_INFINITY) - slackMs && stretch.from < (until ?? Number.POSITIVE_INFINITY) + slackMs
  )
}
