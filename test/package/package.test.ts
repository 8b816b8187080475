import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { build, type Metafile } from 'esbuild'
import { pack, projectWith, REPOSITORY, run } from './project.ts'

const TARBALL_BYTES_MAX = 2_500_000
const BUNDLE_BYTES_MAX = 300_000

const TSC = join(REPOSITORY, 'node_modules/.bin/tsc')
/** The first pipeline of the README. */
const VIEWS = /```ts\n(.*?)```/s.exec(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'))![1]!
const DOCS = readdirSync(join(REPOSITORY, 'docs')).map(file => `docs/${file}`)
const EVENTS = Array.from({ length: 600 }, (_, i) =>
  JSON.stringify({ user: `u${i % 5}`, item: `i${(i * i) % 7}`, at: 1.7e12 + i * 200 }),
)
const MODULE = '{ "name": "shop", "type": "module" }'

const { copy, tarball } = pack()
const project = projectWith(tarball, { 'package.json': MODULE, 'views.ts': VIEWS, 'views.ndjson': EVENTS.join('\n') })
const installed = join(project, 'node_modules/millrace')

test('the tarball has what was built, and nothing that only serves the repository', t => {
  const files = run(project, 'tar', ['-tzf', tarball]).out.trim().split('\n')
  const others = files.filter(file => !/^package\/dist\/(runtime|functions|infra)\/.*\.(js|js\.map|d\.ts)$/.test(file))
  assert.deepEqual(
    others.sort(),
    ['LICENSE', 'README.md', 'bin/millrace.js', 'package.json', 'examples/recommendations/README.md', ...DOCS]
      .map(file => `package/${file}`)
      .sort(),
  )
  const { size } = statSync(tarball)
  t.diagnostic(`tarball: ${Math.round(size / 1000)} kB, ${files.length} files`)
  assert.ok(size < TARBALL_BYTES_MAX)
})

test('what its README links to is there', () => {
  const links = [...readFileSync(join(installed, 'README.md'), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
    ([, link]) => link!,
  )
  assert.ok(links.length >= 10)
  for (const link of links) assert.ok(existsSync(join(installed, link)), link)
})

test('its package.json names no sources and no development tools; the one in the repository is as it was', () => {
  const text = readFileSync(join(installed, 'package.json'), 'utf8')
  assert.doesNotMatch(text, /"[^"]*(?<!\.d)\.ts"|devDependencies|prepack/)
  const original = readFileSync(join(REPOSITORY, 'package.json'), 'utf8')
  assert.equal(readFileSync(join(copy, 'package.json'), 'utf8'), original)
  const entries: [string, string][] = Object.entries(JSON.parse(original).exports)
  for (const [entry, source] of entries.filter(([, source]) => existsSync(join(REPOSITORY, source))))
    for (const target of targets(JSON.parse(text).exports[entry]))
      assert.ok(existsSync(join(installed, target)), `${entry} is ${source} here, and ${target} is not in the package`)
})

function targets(entry: string | Readonly<Record<string, string>>): string[] {
  return typeof entry === 'string' ? [entry] : Object.values(entry)
}

/** What tsc says of these files of the project. */
function check(files: readonly string[], options: Readonly<Record<string, unknown>>): string {
  const compilerOptions = { target: 'es2022', strict: true, noEmit: true, types: [], ...options }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  return run(project, TSC, ['-p', '.']).out
}

test('the declarations are sound in themselves, without those of Node', () => {
  assert.equal(check(['views.ts'], { module: 'nodenext', skipLibCheck: false }), '')
})

for (const moduleResolution of ['bundler', 'node16', 'nodenext'])
  test(`a pipeline is checked against them, with moduleResolution ${moduleResolution}`, () => {
    writeFileSync(join(project, 'wrong.ts'), VIEWS.replace("keyBy('item')", "keyBy('itme')"))
    writeFileSync(
      join(project, 'log.ts'),
      "import type { AwsPorts } from 'millrace/aws'\nexport const log = (ports: AwsPorts) => ports.log.get\n",
    )
    const module = moduleResolution === 'bundler' ? 'esnext' : moduleResolution
    const said = check(['views.ts', 'wrong.ts', 'log.ts'], { module, moduleResolution, skipLibCheck: true })
    assert.match(said, /^wrong\.ts\(\d+,\d+\): error TS2769: No overload matches this call\.\n( .*\n)*$/)
  })

test('what it gives has a name that a library can write into its own declarations', () => {
  writeFileSync(join(project, 'library.ts'), readFileSync(join(REPOSITORY, 'test/package/library.ts'), 'utf8'))
  const emitting = { noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: 'declarations' }
  assert.equal(check(['library.ts'], { module: 'nodenext', skipLibCheck: true, ...emitting }), '')
  const declarations = readFileSync(join(project, 'declarations/library.d.ts'), 'utf8')
  assert.match(declarations, /export declare const events: import\("millrace"\)\.SourceStream<\{/)
  assert.doesNotMatch(declarations, /import\("millrace\/|\bany\b/)
})

test('docs/testing.md is one file, which tsc checks and node --test runs', () => {
  const blocks = [...readFileSync(join(REPOSITORY, 'docs/testing.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(m => m[1])
  writeFileSync(join(project, 'shop.test.ts'), blocks.join('\n'))
  const node = { types: ['node'], typeRoots: [join(REPOSITORY, 'node_modules/@types')] }
  const wrong = 'const { app, orders } = shop()\nvoid openTestPipeline(app).then(t => t.send(orders, [{ user: 1 }]))\n'
  writeFileSync(join(project, 'wrong-shop.ts'), `${blocks[0]}\n${wrong}`)
  const said = check(['shop.test.ts', 'wrong-shop.ts'], { ...node, module: 'nodenext', target: 'esnext', skipLibCheck: true })
  assert.match(said, /^wrong-shop\.ts\(\d+,\d+\): error TS2769: No overload matches this call\.\n( .*\n)*$/)
  const { code, out, err } = run(project, process.execPath, ['--test', 'shop.test.ts'])
  assert.equal(code, 0, out + err)
  assert.match(out, new RegExp(`pass ${blocks.length - 1}\\b`))
})

test('npx millrace plans it and runs it', () => {
  const plan = run(project, 'npx', ['--no-install', 'millrace', 'plan', 'views.ts'])
  assert.equal(plan.code, 0, plan.err)
  assert.match(plan.out, /sink top: print/)
  const { code, out, err } = run(project, 'npx', [
    '--no-install',
    'millrace',
    'run',
    'views.ts',
    '--source',
    'views=views.ndjson',
  ])
  assert.equal(code, 0, err)
  assert.match(out, /"rank":1,"until":"2023-11-14T22:1\d:00.000Z","item":"i[124]","views":\d+/)
  const version = run(project, 'npx', ['--no-install', 'millrace', '--version'])
  assert.equal(version.out.trim(), JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).version)
})

test('npx millrace backfills it, in threads of its own', () => {
  const args = ['--no-install', 'millrace', 'backfill', 'views.ts', '--from', 'views.ndjson', '--workers', '2', '--out', 'past']
  const { code, out, err } = run(project, 'npx', args)
  assert.equal(code, 0, err)
  assert.match(out, /^views: backfill finished after .*\n {2}events +600 /)
  assert.match(
    readFileSync(join(project, 'past/top.ndjson'), 'utf8'),
    /^\{"rank":1,"until":"2023-11-14T22:1\d:00.000Z","item":"i[124]","views":\d+\}$/m,
  )
})

for (const type of [undefined, 'commonjs'])
  test(`also in a project whose package.json says ${type ?? 'no'} type`, () => {
    const other = projectWith(tarball, {
      'package.json': JSON.stringify({ name: 'shop', type }),
      'views.ts': VIEWS.replace("pipeline('views')", 'pipeline(NAME)').replace('\n', "\nimport { NAME } from './name.ts'\n"),
      'name.ts': "export const NAME: string = 'views'\n",
      // What tsc makes of it for CommonJS.
      'views.js': `"use strict";
        Object.defineProperty(exports, "__esModule", { value: true });
        const millrace_1 = require("millrace");
        const z = require("zod");
        const app = (0, millrace_1.pipeline)('views');
        app.source('views', (0, millrace_1.ndjson)(z.object({ at: z.number() })), { time: view => view.at, watermark: (0, millrace_1.monotonous)() })
          .sink('top', (0, millrace_1.print)());
        exports.default = app;`,
    })
    for (const file of ['views.ts', 'views.js']) {
      const { code, out, err } = run(other, process.execPath, ['node_modules/.bin/millrace', 'plan', file])
      assert.deepEqual({ code, err }, { code: 0, err: '' })
      assert.match(out, /sink top: print/)
    }
  })

test('a Node that is too old is told so in one sentence', () => {
  writeFileSync(
    join(project, 'old.cjs'),
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.3.0' } })",
  )
  const { code, err } = run(project, process.execPath, ['--require', './old.cjs', 'node_modules/.bin/millrace', '--help'])
  assert.match(err, /^millrace needs Node 24 or later, and this is v[\d.]+: install it, or run `npm install node@24` here\.\n$/)
  assert.equal(code, 2)
})

test('esbuild bundles what a pipeline uses: no SDK, and no Redis client', async t => {
  const { bytes, packages, files, path } = await bundle('views.ts')
  t.diagnostic(`bundle of the first pipeline, minified: ${Math.round(bytes / 1000)} kB (${packages})`)
  assert.deepEqual(packages, ['millrace', 'zod'])
  assert.deepEqual(
    files.filter(file => /millrace\/dist\/runtime\/(testing|sim)\//.test(file)),
    [],
    'the test kit is in no bundle',
  )
  assert.ok(bytes < BUNDLE_BYTES_MAX)
  const { out, err } = run(project, process.execPath, [
    '-p',
    `import(${JSON.stringify(path)}).then(m => console.log(m.default.graph().name))`,
  ])
  assert.match(out, /^views$/m, err)
})

test('esbuild bundles millrace/aws with its SDK, and the bundle runs', async t => {
  const names = { log: 'shop-log', state: 'shop-state' }
  const options = { region: 'eu-west-1', tables: names, bucket: 'shop', prefix: '' }
  writeFileSync(
    join(project, 'ports.ts'),
    `import { awsPorts, stageStreams } from 'millrace/aws'
     const ports = awsPorts({ ...${JSON.stringify(options)}, streams: stageStreams('shop') })
     console.log(Object.keys(ports).join())
     ports.close()`,
  )
  const { bytes, packages, path } = await bundle('ports.ts')
  t.diagnostic(`bundle of the ports on AWS, minified: ${Math.round(bytes / 1000)} kB`)
  assert.ok(packages.includes('@aws-sdk/client-dynamodb'))
  const { out, err } = run(project, process.execPath, [path])
  assert.match(out, /streams,log,store,blobs/, err)
})

/** As for a Lambda function; `packages` are those of which something is in the bundle. */
async function bundle(file: string): Promise<{ bytes: number; packages: string[]; files: string[]; path: string }> {
  const path = join(project, file.replace('.ts', '.bundle.mjs'))
  const { metafile } = await build({
    absWorkingDir: project,
    entryPoints: [file],
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    // Some packages of the SDK's are CommonJS and require Node's modules.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    outfile: path,
    metafile: true,
  })
  const [output] = Object.values(metafile.outputs)
  return { bytes: output!.bytes, packages: packagesOf(output!), files: Object.keys(output!.inputs), path }
}

function packagesOf(output: Metafile['outputs'][string]): string[] {
  const used = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  const names = used.flatMap(([path]) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [])
  return [...new Set(names)].sort()
}
