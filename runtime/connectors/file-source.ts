import { open, stat } from 'node:fs/promises'
import { normalize } from 'node:path'
import { ConnectorError, fileReason } from './error.ts'
import type { SourceConnector } from './source.ts'
import { STDIN } from './stdin.ts'

/**
 * Reads NDJSON files, plain or gzip (told by their first bytes, not by their names): one record a line, one split a file. `-` is standard input, which
 * can't be read again after a restart. Empty lines are skipped. A split is named by its path as given (normalised), so a
 * resumed run has to be given the same paths.
 *
 * Throws ConnectorError when a file is missing, can't be read, or is not the one that an earlier run read from.
 *
 * @example
 * const clicks = app.source('clicks', { schema: Click, connector: fileSource(['data/clicks.ndjson.gz']) }, { time: c => c.timestamp, watermark: monotonous() })
 */
export function fileSource(paths: readonly string[]): SourceConnector {
  if (paths.some(path => typeof path !== 'string' || path === ''))
    throw new ConnectorError("fileSource was given a path that is none: write fileSource(['data/events.ndjson'])")
  const splits = paths.map(path => (path === STDIN ? STDIN : normalize(path)))
  if (splits.length === 0) throw new ConnectorError('fileSource([]) has nothing to read: give it at least one path')
  const twice = splits.find((path, i) => splits.indexOf(path) !== i)
  if (twice !== undefined) throw new ConnectorError(`fileSource was given ${twice} twice: each file can be read once`)
  return {
    kind: 'file',
    files: splits.map(path => (path === STDIN ? '/dev/stdin' : path)),
    async splits() {
      await Promise.all(splits.map(checkReadable))
      return splits
    },
    async open(split) {
      // Only where files are read: functions on AWS never do, and load the less.
      const { openLines } = await import('./line-reader.ts')
      return openLines(split)
    },
    async changed(split, position) {
      if (split === STDIN) return undefined
      const { changedSince } = await import('./file-change.ts')
      return changedSince(split, Number(position.offset))
    },
    describe: () =>
      `file ${splits.length > 3 ? `${splits.slice(0, 3).join(', ')} and ${splits.length - 3} more` : splits.join(', ')}`,
  }
}

/** Before a run starts, so that it doesn't fail in the middle for a file that was never there. */
async function checkReadable(path: string): Promise<void> {
  if (path === STDIN) return
  try {
    if ((await stat(path)).isDirectory()) throw new Error('it is a directory')
    await (await open(path)).close()
  } catch (error) {
    throw new ConnectorError(`can't read ${path}: ${fileReason(error)}`, { cause: error })
  }
}
