import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz.ts'
import { TARGETS } from './targets.ts'

/** `npm run fuzz` gives each a million. */
const INPUTS = 3000

for (const { name } of TARGETS) {
  test(`${name}: ${INPUTS} inputs, whole and damaged, are answered rightly or refused by name`, {
    timeout: 300_000,
  }, async () => {
    const { taken, refused, failed } = await fuzz(name, 0, INPUTS)
    assert.equal(failed?.error, undefined, `npm run fuzz -- ${name} --from ${failed?.input} --inputs 1`)
    assert.equal(taken + refused, INPUTS)
    assert.ok(taken > INPUTS / 20, `only ${taken} were taken`)
    if (name !== 'plans') assert.ok(refused > INPUTS / 20, `only ${refused} were refused`)
  })
}
