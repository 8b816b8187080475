import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AssetHashType, DockerImage } from 'aws-cdk-lib'
import { Code } from 'aws-cdk-lib/aws-lambda'
import type { BuildOptions, BuildResult } from 'esbuild'
import { InfraError } from './error.ts'

/** The functions' entry points: one file each, `<name>.mjs` in the asset. */
export const FUNCTIONS = ['stage', 'cut', 'materialise', 'checkpoint'] as const
export type FunctionName = (typeof FUNCTIONS)[number]

/** The same extension as this file has: .ts in the repository, .js in the package. */
const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FUNCTIONS_DIR = join(ROOT, 'functions')

/** What CommonJS packages inside of a module need. */
const BANNER = `import{createRequire as millraceRequire}from'node:module';const require=millraceRequire(import.meta.url);`

export interface Bundle {
  /** Minified, of all files together. */
  readonly bytes: number
  /** Thereof the AWS SDK and what belongs to it. */
  readonly sdkBytes: number
}

/**
 * The functions and the user's pipeline as modules in `outdir`: an `.mjs` for each function, and what they share. Equal inputs give equal bytes.
 * The SDK is in there: the version that the tests ran with, and faster to load than the runtime's own.
 */
export function bundle(entry: string, outdir: string, functionsDir = FUNCTIONS_DIR): Bundle {
  const { metafile } = build({
    entryPoints: Object.fromEntries(FUNCTIONS.map(name => [name, join(functionsDir, name + EXTENSION)])),
    outdir,
    alias: { 'millrace:pipeline': resolve(entry), millrace: join(ROOT, 'runtime', `index${EXTENSION}`) },
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
  const outputs = Object.values(metafile!.outputs)
  const sdkBytes = outputs
    .flatMap(output => Object.entries(output.inputs))
    .reduce((sum, [file, { bytesInOutput }]) => (isSdk(file) ? sum + bytesInOutput : sum), 0)
  return { bytes: outputs.reduce((sum, output) => sum + output.bytes, 0), sdkBytes }
}

/** With what only the SDK uses. */
const isSdk = (file: string) =>
  /node_modules\/(@aws-sdk|@aws-crypto|@smithy|@aws|bowser|mnemonist|obliterator|tslib)\//.test(file)

/** The asset of all functions of a pipeline: it changes exactly when the code does. */
export function functionsCode(entry: string): Code {
  return Code.fromAsset(FUNCTIONS_DIR, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // Never used: esbuild runs here.
      image: DockerImage.fromRegistry('public.ecr.aws/lambda/nodejs:24'),
      // CDK bundles once what is asked for twice, and compares all but functions: without this, all pipelines of an app would get the code of the first.
      environment: { MILLRACE_ENTRY: resolve(entry) },
      local: {
        tryBundle(outdir) {
          bundle(entry, outdir)
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
