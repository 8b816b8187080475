import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AssetHashType, DockerImage } from 'aws-cdk-lib'
import { Code } from 'aws-cdk-lib/aws-lambda'
import type { BuildOptions, BuildResult, Metafile } from 'esbuild'
import { InfraError } from './error.ts'

/** The functions' entry points: one file each, `<name>.mjs` in the asset. */
export const FUNCTIONS = ['stage', 'cut', 'materialise', 'checkpoint', 'compatible'] as const
/** Those of a backfill, in an asset of their own: what reads Parquet is no burden to the others. */
export const BACKFILL_FUNCTIONS = ['backfill'] as const
export type FunctionName = (typeof FUNCTIONS)[number] | (typeof BACKFILL_FUNCTIONS)[number]

/** The same extension as this file has: .ts in the repository, .js in the package. */
const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FUNCTIONS_DIR = join(ROOT, 'functions')

/** What CommonJS packages inside of a module need. */
const BANNER = `import{createRequire as millraceRequire}from'node:module';const require=millraceRequire(import.meta.url);`

/** Bytes, minified. */
export interface Size {
  readonly bytes: number
  /** Thereof the AWS SDK and what only that uses. */
  readonly sdkBytes: number
}

export interface Bundle<N extends FunctionName = (typeof FUNCTIONS)[number]> extends Size {
  /** What each function loads at a cold start; the rest it loads where it is needed, if ever. */
  readonly loaded: Readonly<Record<N, Size>>
}

/**
 * The functions and the user's pipeline as modules in `outdir`: an `.mjs` for each function, and what they share. Equal inputs give equal bytes.
 * The SDK is in there: the version that the tests ran with, and faster to load than the runtime's own.
 */
export function bundle(entry: string, outdir: string, functionsDir?: string): Bundle
export function bundle<N extends FunctionName>(
  entry: string,
  outdir: string,
  functionsDir: string | undefined,
  names: readonly N[],
): Bundle<N>
export function bundle(
  entry: string,
  outdir: string,
  functionsDir = FUNCTIONS_DIR,
  names: readonly FunctionName[] = FUNCTIONS,
): Bundle<FunctionName> {
  const { metafile } = build({
    entryPoints: Object.fromEntries(names.map(name => [name, join(functionsDir, name + EXTENSION)])),
    outdir,
    alias: {
      'millrace:pipeline': resolve(entry),
      millrace: join(ROOT, 'runtime', `index${EXTENSION}`),
      'millrace/aws': join(ROOT, 'runtime/aws', `index${EXTENSION}`),
    },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    mainFields: ['module', 'main'],
    outExtension: { '.js': '.mjs' },
    banner: { js: BANNER },
    minify: true,
    // Names of classes and functions are in error messages.
    keepNames: true,
    // Native speed-ups for msgpackr: built for this machine, if at all, and done without where they are missing.
    external: ['msgpackr-extract'],
    legalComments: 'none',
    // Names in here would differ from one machine to another.
    absWorkingDir: ROOT,
    metafile: true,
    logLevel: 'silent',
  })
  const { outputs } = metafile!
  const entries = names.map(name => Object.keys(outputs).find(file => file.endsWith(`/${name}.mjs`))!)
  const reached = withImports(outputs, entries, ['import-statement', 'dynamic-import'])
  // esbuild writes what is imported by code that it has left out itself: the Redis client, for pipelines without a Redis sink.
  for (const file of Object.keys(outputs)) if (!reached.has(file)) rmSync(join(ROOT, file))
  const loaded = entries.map((entry, i) => [names[i]!, sizeOf(outputs, withImports(outputs, [entry], ['import-statement']))])
  return { ...sizeOf(outputs, reached), loaded: Object.fromEntries(loaded) as Record<FunctionName, Size> }
}

type Outputs = Metafile['outputs']

function sizeOf(outputs: Outputs, files: ReadonlySet<string>): Size {
  let bytes = 0
  let sdkBytes = 0
  for (const file of files) {
    bytes += outputs[file]!.bytes
    for (const [input, { bytesInOutput }] of Object.entries(outputs[file]!.inputs)) if (isSdk(input)) sdkBytes += bytesInOutput
  }
  return { bytes, sdkBytes }
}

/** Files and what they import, and what that imports. */
function withImports(outputs: Outputs, entries: readonly string[], kinds: readonly string[]): ReadonlySet<string> {
  const files = new Set(entries)
  for (const file of files)
    for (const { path, kind } of outputs[file]!.imports) if (kinds.includes(kind) && Object.hasOwn(outputs, path)) files.add(path)
  return files
}

/** With what only the SDK uses. */
const isSdk = (file: string) =>
  /node_modules\/(@aws-sdk|@aws-crypto|@smithy|@aws|bowser|mnemonist|obliterator|tslib)\//.test(file)

/** The asset of functions of a pipeline: it changes exactly when the code does. */
export function functionsCode(entry: string, names: readonly FunctionName[] = FUNCTIONS): Code {
  return Code.fromAsset(FUNCTIONS_DIR, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // Never used: esbuild runs here.
      image: DockerImage.fromRegistry('public.ecr.aws/lambda/nodejs:24'),
      // CDK bundles once what is asked for twice, and compares all but functions: without this, all pipelines of an app would get the code of the first.
      environment: { MILLRACE_ENTRY: resolve(entry), MILLRACE_FUNCTIONS: names.join() },
      local: {
        tryBundle(outdir) {
          bundle(entry, outdir, undefined, names)
          return true
        },
      },
    },
  })
}

function build(options: BuildOptions): BuildResult {
  const { buildSync } = esbuild()
  try {
    return buildSync(options)
  } catch (error) {
    const { errors = [] } = error as { errors?: { text: string; location?: { file: string; line: number } | null }[] }
    if (errors.length === 0) throw error
    const lines = errors.map(({ text, location }) => (location ? `${location.file}:${location.line}: ${text}` : text))
    throw new InfraError(`the functions could not be bundled: ${lines.join('; ')}`, { cause: error })
  }
}

function esbuild(): typeof import('esbuild') {
  try {
    return createRequire(import.meta.url)('esbuild')
  } catch (error) {
    throw new InfraError(
      'millrace/cdk bundles the functions with esbuild, which is not installed: npm install --save-dev esbuild',
      {
        cause: error,
      },
    )
  }
}
