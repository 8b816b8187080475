import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const INDEX = fileURLToPath(new URL('../../runtime/index.ts', import.meta.url))
const TESTING = fileURLToPath(new URL('../../runtime/testing/index.ts', import.meta.url))

/** What an entry point exports, by file. */
function exported(index: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [, names, file] of readFileSync(index, 'utf8').matchAll(/export (?:type )?\{([^}]*)\} from '([^']*)'/g))
    found.set(
      join(dirname(index), file!),
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
      new RegExp(`^export (abstract |async )?(class|interface|type|function|const) ${name}\\b`).test(line),
    )
    assert.ok(at >= 0, `${name} in ${file}`)
    const missing = documented(at) ? [] : [name]
    if (!lines[at]!.startsWith('export interface') || lines[at]!.endsWith('}')) return missing
    const end = lines.indexOf('}', at)
    const known = new Set<string>()
    for (let i = at + 1; i < end; i++) {
      const member = /^ {2}(?:readonly )?(\w+)\??[(<:]/.exec(lines[i]!)?.[1]
      // The specs are declared by functions, and only handed on; a kind is told by its type.
      if (member === undefined) continue
      // Of overloads the first one.
      if (documented(i)) known.add(member)
      if (member !== 'kind' && !name.endsWith('Spec') && !known.has(member)) missing.push(`${name}.${member}`)
    }
    return missing
  })
}

for (const [entry, index] of Object.entries({ millrace: INDEX, 'millrace/testing': TESTING }))
  test(`everything that ${entry} exports has a docstring, and so has each member of what users implement or are given`, () => {
    const missing = [...exported(index)].flatMap(([file, names]) => undocumented(file, names))
    assert.deepEqual(missing, [])
  })
