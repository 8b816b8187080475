import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import test from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const INDEX = join(ROOT, 'runtime/index.ts')
const AWS = join(ROOT, 'runtime/aws/index.ts')
const TESTING = join(ROOT, 'runtime/testing/index.ts')
const WORLD = join(import.meta.dirname, 'example-world.ts')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

interface Example {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** The `@example` of each docstring in the files that the public API lies in. */
function examplesOf(file: string): Example[] {
  const source = readFileSync(file, 'utf8')
  return [...source.matchAll(/^ *\* @example\n((?: *\*(?!\/).*\n)*)/gm)].map(match => ({
    file,
    line: source.slice(0, match.index).split('\n').length + 1,
    text: match[1]!.replace(/^ *\* ?/gm, ''),
  }))
}

/** The TypeScript blocks of a document. */
function blocksOf(file: string): Example[] {
  const source = readFileSync(file, 'utf8')
  return [...source.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(match => ({
    file,
    line: source.slice(0, match.index).split('\n').length + 1,
    text: match[1]!,
  }))
}

function publicFiles(): string[] {
  const named = [INDEX, AWS, TESTING].flatMap(index =>
    [...readFileSync(index, 'utf8').matchAll(/from '(.+)'/g)].map(m => join(dirname(index), m[1]!)),
  )
  return [...new Set([...named, ...globSync(join(ROOT, 'runtime/api/*.ts'))])].sort()
}

/** The names that a module exports. */
function exportsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  const lists = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(m => m[1]!.split(','))
  const declared = [...source.matchAll(/^export (?:declare )?(?:const|function|type) (\w+)/gm)].map(m => m[1]!)
  return [...new Set([...lists.map(name => name.replace('type ', '').trim()).filter(Boolean), ...declared])]
}

/** A module of its own that imports what the example uses and does not declare. All imports are on one line, in front of the example. */
function moduleOf(example: Example, from: ReadonlyMap<string, readonly string[]>): string {
  const { text } = example
  const uses = (name: string) => new RegExp(`\\b${name}\\b`).test(text)
  const declares = (name: string) =>
    new RegExp(`^(?:(?:const|await using) ${name}\\b|import .*\\b${name}\\b.* from )`, 'm').test(text)
  const imports = [...from].map(([module, names]) => {
    const used = names.filter(name => uses(name) && !declares(name))
    return `import { ${used.join(', ')} } from '${module}';`
  })
  return `${imports.join(' ')}\n${text}\nexport {}\n`
}

test('every example in the docstrings of the public API, in docs/api.md and in docs/upgrading.md compiles', t => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-examples-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const examples = [
    ...publicFiles().flatMap(examplesOf),
    ...['api', 'upgrading'].flatMap(name => blocksOf(join(ROOT, `docs/${name}.md`))),
  ]
  assert.ok(examples.length > 60, `only ${examples.length} examples found`)
  const from = new Map([
    ['millrace', exportsOf(INDEX)],
    ['millrace/aws', exportsOf(AWS)],
    ['millrace/testing', exportsOf(TESTING)],
    [WORLD, exportsOf(WORLD)],
  ])
  for (const [i, example] of examples.entries()) writeFileSync(join(dir, `${i}.ts`), moduleOf(example, from))
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'))
  const options = {
    ...compilerOptions,
    verbatimModuleSyntax: false, // the imports are made above, types and values alike
    module: 'esnext',
    moduleResolution: 'bundler',
    typeRoots: [join(ROOT, 'node_modules/@types')],
    paths: { millrace: [INDEX], 'millrace/aws': [AWS], 'millrace/testing': [TESTING] },
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
  const { stdout, stderr, status } = spawnSync(process.execPath, [TSC, '-p', dir, '--pretty', 'false'], { encoding: 'utf8' })
  // the example's first line is the second of its file
  const problems = stdout.replace(/^.*?(\d+)\.ts\((\d+),/gm, (all, i, line) => {
    const example = examples[Number(i)]
    return example === undefined ? all : `${relative(ROOT, example.file)}(${example.line + Number(line) - 2},`
  })
  assert.equal(`${problems}${stderr}`, '')
  assert.equal(status, 0)
})
