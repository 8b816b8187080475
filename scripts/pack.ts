// `npm pack` runs this before and after: Node strips no types below node_modules, so the package that others install has JavaScript and declarations
// in dist/, while everything in this repository goes on running from the sources, without a build.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MANIFEST = `${ROOT}package.json`
/** npm leaves files named like this out of every package. */
const KEPT = `${MANIFEST}.orig`

const step = process.argv[2]
if (step === 'before') {
  restore()
  build()
  copyFileSync(MANIFEST, KEPT)
  writeFileSync(MANIFEST, packed(readFileSync(MANIFEST, 'utf8')))
} else if (step === 'after') restore()
else throw new Error(`'before' or 'after', not ${step}`)

/** Also what an interrupted `npm pack` left. */
function restore(): void {
  if (existsSync(KEPT)) renameSync(KEPT, MANIFEST)
}

function build(): void {
  rmSync(`${ROOT}dist`, { recursive: true, force: true })
  const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (status !== 0) process.exit(1)
}

/** package.json as others get it: entry points in dist/, and nothing that only serves this repository. */
function packed(text: string): string {
  const { scripts, devDependencies, allowScripts, ...manifest } = JSON.parse(text)
  for (const [entry, target] of Object.entries<string>(manifest.exports)) {
    const file = /^\.\/(.*)\.ts$/.exec(target)?.[1]
    if (file !== undefined) manifest.exports[entry] = { types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` }
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}
