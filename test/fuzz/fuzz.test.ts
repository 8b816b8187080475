import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz.ts'
import { TARGETS } from './targets.ts'

/** `npm run fuzz` gives each a million. */
const INPUTS = 3000
/** Of those that take some milliseconds each. */
const INPUTS_OF_SLOW = 300
const SLOW = ['savepoints', 'archives']

for (const { name } of TARGETS) {
  const inputs = SLOW.includes(name) ? INPUTS_OF_SLOW : INPUTS
  test(`${name}: ${inputs} inputs, whole and damaged, are answered rightly or refused by name`, {
    timeout: 300_000,
  }, async () => {
    const { taken, refused, failed } = await fuzz(name, 0, inputs)
    assert.equal(failed?.error, undefined, `npm run fuzz -- ${name} --from ${failed?.input} --inputs 1`)
    assert.equal(taken + refused, inputs)
    assert.ok(taken > inputs / 20, `only ${taken} were taken`)
    if (name !== 'plans') assert.ok(refused > inputs / 20, `only ${refused} were refused`)
  })
}
