import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { account, endpoint } from './resources.ts'

/** What a stack is made by. */
export interface StackSource {
  readonly stack: string
  /** What makes it: a file. Default: as cdk.json says. */
  readonly app?: string
  /** `--context`. */
  readonly context?: Readonly<Record<string, string>>
  /** For the app. */
  readonly environment?: Readonly<Record<string, string>>
}

const ROOT = resolve(import.meta.dirname, '../..')
const BIN = join(ROOT, 'node_modules', '.bin')

let bootstrapped: Promise<unknown> | undefined
/** Of stacks that were deployed from here: to destroy one, its template need not be made again. */
const assemblies = new Map<string, string>()

/** Deploys a stack on LocalStack by cdklocal, into an account that was bootstrapped. Gives its outputs. */
export async function deploy(source: StackSource): Promise<Record<string, string>> {
  // Elsewhere: here it would make the stacks of cdk.json first.
  bootstrapped ??= cdklocal(['bootstrap', `aws://${account.id}/${account.region}`], {}, tmpdir())
  await bootstrapped
  const dir = mkdtempSync(join(tmpdir(), 'millrace-cdk-'))
  const assembly = join(dir, 'assembly')
  const outputs = join(dir, 'outputs.json')
  const options = ['--require-approval', 'never', '--outputs-file', outputs]
  await cdklocal(['deploy', source.stack, ...optionsOf(source), '--output', assembly, ...options], source.environment)
  assemblies.set(source.stack, assembly)
  return JSON.parse(readFileSync(outputs, 'utf8'))[source.stack]
}

/** The template that a deployment would send. */
export async function templateOf(source: StackSource): Promise<any> {
  const assembly = join(mkdtempSync(join(tmpdir(), 'millrace-cdk-')), 'assembly')
  await cdklocal(['synth', source.stack, ...optionsOf(source), '--output', assembly, '--quiet'], source.environment)
  return JSON.parse(readFileSync(join(assembly, `${source.stack}.template.json`), 'utf8'))
}

export async function destroy(source: StackSource): Promise<void> {
  const assembly = assemblies.get(source.stack)
  const elsewhere = ['--output', mkdtempSync(join(tmpdir(), 'millrace-cdk-'))]
  const options = assembly === undefined ? [...optionsOf(source), ...elsewhere] : ['--app', assembly]
  await cdklocal(['destroy', source.stack, ...options, '--force'], source.environment)
}

function optionsOf({ app, context = {} }: StackSource): string[] {
  return [
    ...(app === undefined ? [] : ['--app', `node ${app}`]),
    ...Object.entries(context).flatMap(([name, value]) => ['--context', `${name}=${value}`]),
  ]
}

/** Says nothing as long as all goes well. */
function cdklocal(args: readonly string[], environment: Readonly<Record<string, string>> = {}, cwd = ROOT): Promise<void> {
  const env = {
    ...process.env,
    // This Node also for what cdk starts.
    PATH: `${BIN}${delimiter}${process.env.PATH}`,
    AWS_ENDPOINT_URL: endpoint!,
    AWS_ENDPOINT_URL_S3: endpoint!,
    AWS_ACCESS_KEY_ID: account.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: account.credentials.secretAccessKey,
    AWS_REGION: account.region,
    AWS_DEFAULT_REGION: account.region,
    CDK_DISABLE_CLI_TELEMETRY: '1',
    ...environment,
  }
  const child = spawn(join(BIN, 'cdklocal'), ['--no-color', '--no-notices', ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => said.push(chunk))
  return new Promise((done, failed) => {
    child.once('error', failed)
    child.once('close', code => {
      if (code === 0) done()
      else failed(new Error(`cdklocal ${args.join(' ')} ended with code ${code}:\n${Buffer.concat(said)}`))
    })
  })
}
