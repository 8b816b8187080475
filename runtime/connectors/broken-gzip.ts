import { createReadStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { constants, createGunzip } from 'node:zlib'
import { ConnectorError, reasonOf } from './error.ts'

/** What is unpacked at once when a broken file is counted: up to so much in front of damage is not counted as readable. */
const COUNT_BYTES = 4096

/** True for what zlib says of its input. */
export function isGzipError(error: unknown): boolean {
  return ['Z_BUF_ERROR', 'Z_DATA_ERROR'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}

/** The error for gzip that ends too early or is damaged. A file is read once more, to tell how far it is good; undefined: standard input. */
export async function brokenGzip(path: string | undefined, cause: unknown): Promise<ConnectorError> {
  const name = path ?? 'standard input'
  const cut = (cause as NodeJS.ErrnoException).code === 'Z_BUF_ERROR'
  const problem = `${name} ${cut ? 'was cut off: the end of the gzip stream is missing' : 'is damaged: it is no valid gzip'} (${reasonOf(cause)})`
  const good = path === undefined ? '' : `${cut ? '' : 'About '}${counted(await readableLines(path))} of it can be read. `
  return new ConnectorError(`${problem}. ${good}Get the whole ${path === undefined ? 'input' : 'file'}, and run again`, { cause })
}

function counted(lines: number): string {
  return `${lines.toLocaleString('en-US')} whole line${lines === 1 ? '' : 's'}`
}

/** A file called .gz with too few bytes to begin like gzip: an upload that hardly began, not an input without records. */
export async function refuseStub(file: FileHandle, path: string): Promise<void> {
  if (!/\.gz$/i.test(path)) return
  const { size } = await file.stat()
  if (size === 0)
    throw new ConnectorError(`${path} is empty, and not even packed: was it cut off? Get the whole file, and run again`)
}

async function readableLines(path: string): Promise<number> {
  // With this flush, an early end is an end: what came before is handed out whole.
  const gunzip = createGunzip({ chunkSize: COUNT_BYTES, finishFlush: constants.Z_SYNC_FLUSH })
  const source = createReadStream(path)
    .on('error', error => gunzip.destroy(error))
    .pipe(gunzip)
  let lines = 0
  try {
    for await (const chunk of source as AsyncIterable<Buffer>)
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++
  } catch {
    // So far it was good.
  }
  return lines
}
