import { dice } from '../sim/random.ts'
import type { Scenario } from '../sim/scenario.ts'
import { decode } from '../stage/decode.ts'
import { list } from '../suggest.ts'

/** Why each record is refused that a source does not take: they are dead letters, whether somebody reads these or not. */
export function refusedOf(scenario: Scenario): string[] {
  const { nodes } = scenario.app(CALM, 0).graph()
  return Object.entries(scenario.input(dice(0))).flatMap(([name, shards]) => {
    const source = nodes.find(node => node.source?.name === name)!.source!
    return shards.flat().flatMap(line => {
      const decoded = decode(line, source)
      return decoded.ok ? [] : [`'${name}': ${decoded.reason}`]
    })
  })
}

/** What is known of a run out of which nothing came. */
export function whyNothing(scenario: Scenario, refused: readonly string[], letters: readonly any[]): string {
  const input = Object.entries(scenario.input(dice(0))).map(([name, shards]) => ({
    name: `'${name}'`,
    records: shards.flat().length,
  }))
  const silent = input.filter(({ records }) => records === 0).map(({ name }) => name)
  const all = input.reduce((sum, { records }) => sum + records, 0)
  return [
    silent.length > 0 && `${list(silent)} ${silent.length === 1 ? 'was' : 'were'} given no records.`,
    refused.length > 0 && `${refused.length} of ${all} records are refused, the first by ${refused[0]}.`,
    letters.length > 0 &&
      `Functions failed on ${letters.length} of ${all} records each time, on the first with: ${letters[0].reason}.`,
    'A stream has no end: the last records of the input have to move the watermark beyond the windows that are to fire.',
  ]
    .filter(text => text !== false)
    .join(' ')
}

/** User code as it is while nothing runs. */
export const CALM = { sleep: async () => {}, random: () => 0, maySurprise() {}, broken() {} }
