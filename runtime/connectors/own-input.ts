import { statSync } from 'node:fs'
import { ConnectorError } from './error.ts'
import type { Sink } from './sink.ts'
import type { SourceConnector } from './source.ts'

/**
 * A sink that writes to a file that a source reads would overwrite it while it is read. Files are told by what they are, not by their paths: links count.
 * Throws ConnectorError.
 */
export function refuseOwnInput(
  sources: Iterable<readonly [name: string, connector: Pick<SourceConnector, 'files'>]>,
  sinks: Iterable<readonly [name: string, sink: Sink<any>]>,
): void {
  const read = new Map<string, string>()
  for (const [name, { files }] of sources)
    for (const path of files ?? []) {
      const file = identity(path)
      if (file !== undefined) read.set(file, name)
    }
  for (const [name, { file }] of sinks) {
    const source = file === undefined ? undefined : read.get(identity(file) ?? '')
    if (source !== undefined)
      throw new ConnectorError(
        `the sink ${name} would overwrite ${file}, which the source ${source} reads: write to another file`,
      )
  }
}

/** The same for all links to one file; undefined when there is none (yet), or it is a pipe or a device. */
function identity(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stats?.isFile() ? `${stats.dev}:${stats.ino}` : undefined
}
