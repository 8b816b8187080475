import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const MODULES = join(REPOSITORY, 'node_modules')
/** All that packing may read, and some that the package must not have. */
const PACKED_FROM = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'README.md',
  'LICENSE',
  '.gitignore',
  'bin',
  'runtime',
  'functions',
]
const BESIDE = ['infra', 'scripts', 'docs', 'examples', 'test/package']

/** The environment of a user's shell whose `node` is this one; npm's own variables, which name this repository, stay behind. */
const ENV = Object.fromEntries([
  ...Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|INIT_CWD$)/i.test(name)),
  ['PATH', `${dirname(process.execPath)}${delimiter}${process.env.PATH}`],
])

const ROOT = mkdtempSync(join(tmpdir(), 'millrace-package-'))
process.on('exit', () => rmSync(ROOT, { recursive: true, force: true }))

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a program to its end, in a directory. */
export function run(cwd: string, program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Result {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, env: { ...ENV, ...env }, encoding: 'utf8' })
  if (error) throw error
  return { code: status, out: stdout, err: stderr }
}

/** `npm pack` in a copy of this repository (others may be working in it): where the copy is, and the tarball. */
export function pack(): { readonly copy: string; readonly tarball: string } {
  const copy = mkdtempSync(join(ROOT, 'pack-'))
  for (const name of [...PACKED_FROM, ...BESIDE].filter(name => existsSync(join(REPOSITORY, name))))
    cpSync(join(REPOSITORY, name), join(copy, name), { recursive: true })
  symlinkSync(MODULES, join(copy, 'node_modules'))
  const { code, out, err } = run(copy, 'npm', ['pack', '--offline', '--loglevel=error'])
  if (code !== 0) throw new Error(`npm pack failed: ${out}${err}`)
  return { copy, tarball: join(copy, out.trim().split('\n').at(-1)!) }
}

/**
 * A project of somebody else with the package installed, as npm would, but without a network: unpacked, its declared dependencies beside it
 * (and no others, but zod, which the project has for itself), its command linked.
 */
export function projectWith(tarball: string, files: Readonly<Record<string, string>>): string {
  const project = mkdtempSync(join(ROOT, 'project-'))
  const modules = join(project, 'node_modules')
  const installed = join(modules, 'millrace')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  const { dependencies, bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  for (const name of [...Object.keys(dependencies), 'zod']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(MODULES, name), join(modules, name))
  }
  mkdirSync(join(modules, '.bin'))
  symlinkSync(join('..', 'millrace', bin.millrace), join(modules, '.bin', 'millrace'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(project, name), content)
  return project
}
