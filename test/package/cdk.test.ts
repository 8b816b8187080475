import assert from 'node:assert/strict'
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pack, projectWith, REPOSITORY, run } from './project.ts'

const MODULES = join(REPOSITORY, 'node_modules')
const TSC = join(MODULES, '.bin/tsc')
const firstBlock = (file: string) => /```ts\n(.*?)```/s.exec(readFileSync(join(REPOSITORY, file), 'utf8'))![1]!
/** The README's first pipeline, in the app that docs/aws.md begins with. */
const VIEWS = firstBlock('README.md')
const APP = firstBlock('docs/aws.md')

const { tarball } = pack()

function projectOf(type: string | undefined): string {
  const project = projectWith(tarball, {
    'package.json': JSON.stringify({ name: 'shop', type }),
    'views.ts': VIEWS,
    'app.ts': APP,
    'app.mts': APP,
    'wrong.ts': APP.replace('sources: { views }', 'sources: { views: 1 }'),
  })
  for (const name of ['aws-cdk-lib', 'constructs', 'esbuild'])
    symlinkSync(join(MODULES, name), join(project, 'node_modules', name))
  return project
}

/** Runs the app as cdk does; what its functions run was bundled from the package and the project's own pipeline file. */
function checkApp(project: string, program: string, file: string): void {
  const { code, err } = run(project, program, [file], { CDK_VALIDATION: 'false', CDK_OUTDIR: 'cdk.out' })
  assert.equal(code, 0, err)
  const template = JSON.parse(readFileSync(join(project, 'cdk.out/Trending.template.json'), 'utf8'))
  const functions = Object.values<any>(template.Resources).filter(r => r.Properties?.Environment?.Variables?.MILLRACE_PREFIX)
  assert.ok(functions.length >= 6)
  const out = join(project, 'cdk.out')
  const assets = readdirSync(out).filter(name => name.startsWith('asset.') && readdirSync(join(out, name)).includes('stage.mjs'))
  assert.equal(assets.length, 1)
  const texts = readdirSync(join(out, assets[0]!)).map(name => readFileSync(join(out, assets[0]!, name), 'utf8'))
  assert.ok(texts.some(text => text.includes('"views"')))
  assert.ok(texts.some(text => text.includes('goes to the dead letters')))
}

// As `npm init` makes it, which says no type, and as others have it.
for (const type of [undefined, 'module'])
  test(`a CDK app of somebody else has a pipeline from the package, checked by tsc and made by plain Node (${type ?? 'no'} type)`, () => {
    const project = projectOf(type)
    const compilerOptions = { target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: true, outDir: 'built', types: [] }
    const check = (file: string) => {
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
      return run(project, TSC, ['-p', '.']).out
    }
    assert.match(check('wrong.ts'), /^wrong\.ts\(\d+,\d+\): error TS2322: .*\n( .*\n)*$/)
    assert.equal(check('app.ts'), '')
    checkApp(project, process.execPath, 'built/app.js')
  })

// Without a type, tsx turns all that it loads into CommonJS, this package too: there is no import.meta.resolve then.
for (const type of [undefined, 'module'])
  test(`a CDK app runs under tsx, as \`cdk init\` has it (${type ?? 'no'} type)`, () => {
    checkApp(projectOf(type), join(MODULES, '.bin/tsx'), 'app.ts')
  })

// `npm init` says "commonjs".
test('a CDK app is run by Node as docs/aws.md has it, as .mts', () => {
  checkApp(projectOf('commonjs'), process.execPath, 'app.mts')
})
