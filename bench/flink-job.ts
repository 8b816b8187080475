import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from './arguments.ts'
import { outputOf } from './ours.ts'

const FLINK = '2.3.0'
/** As bench.sh gives them. */
const OPENS = ['java.util', 'java.lang', 'java.time', 'java.nio', 'sun.nio.ch'].map(p => `--add-opens=java.base/${p}=ALL-UNNAMED`)

/** Where the libraries of that Flink are. @throws UsageError when it is not built */
export function flinkLibraries(directory: string): string {
  const lib = join(directory, 'build', FLINK, 'lib')
  if (!existsSync(lib)) throw new UsageError(`--vs-flink ${directory}: there is no ${lib}; make it with ./build.sh`)
  return lib
}

export interface FlinkJob {
  /** A file with one public class of that name, which has the main method. */
  readonly source: string
  readonly lib: string
  /** As of java's -Xmx. */
  readonly heap: string
  readonly args: readonly (string | number)[]
}

/** Compiles a job and runs it in a JVM of its own, with its cluster. Gives what it prints. `through`: a command to run it with. @throws Error when it fails */
export async function runFlinkJob({ source, lib, heap, args }: FlinkJob, through: readonly string[] = []): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-flink-'))
  try {
    const jars = join(lib, '*')
    await outputOf('javac', ['-cp', jars, '-d', dir, source])
    const name = source.replace(/.*\/(\w+)\.java$/, '$1')
    const [command, ...words] = [...through, 'java', `-Xmx${heap}`, ...OPENS, '-cp', `${dir}:${jars}`, name, ...args.map(String)]
    return await outputOf(command!, words)
  } finally {
    rmSync(dir, { recursive: true })
  }
}
