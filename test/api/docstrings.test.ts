import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const INDEX = fileURLToPath(new URL('../../runtime/index.ts', import.meta.url))

/** What `millrace` exports, by file. */
function exported(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [, names, file] of readFileSync(INDEX, 'utf8').matchAll(/export (?:type )?\{([^}]*)\} from '([^']*)'/g))
    found.set(
      join(dirname(INDEX), file!),
      names!.split(',').flatMap(name => name.replace(/^\s*(type )?/, '').trim() || []),
    )
  return found
}

/** Exports, and members of exported interfaces, that have no docstring of their own. */
function undocumented(file: string, names: readonly string[]): string[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  const documented = (at: number) => /\*\/$/.test(lines[at - 1]!)
  return names.flatMap(name => {
    const at = lines.findIndex(line =>
      new RegExp(`^export (abstract )?(class|interface|type|function|const) ${name}\\b`).test(line),
    )
    assert.ok(at >= 0, `${name} in ${file}`)
    const missing = documented(at) ? [] : [name]
    if (!lines[at]!.startsWith('export interface') || lines[at]!.endsWith('}')) return missing
    const end = lines.indexOf('}', at)
    for (let i = at + 1; i < end; i++) {
      const member = /^ {2}(?:readonly )?(\w+)\??[(<:]/.exec(lines[i]!)?.[1]
      // The specs are declared by functions, and only handed on; a kind is told by its type.
      if (member !== undefined && member !== 'kind' && !name.endsWith('Spec') && !documented(i)) missing.push(`${name}.${member}`)
    }
    return missing
  })
}

test('everything that millrace exports has a docstring, and so has each member of what users implement or are given', () => {
  const missing = [...exported()].flatMap(([file, names]) => undocumented(file, names))
  assert.deepEqual(missing, [])
})
