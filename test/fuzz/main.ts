import { parseArgs } from 'node:util'
import { statusLine } from '../../runtime/cli/status-line.ts'
import { fuzz } from './fuzz.ts'
import { TARGETS } from './targets.ts'

const HELP = `npm run fuzz -- [TARGET ...] [--inputs N] [--from N]

Gives parsers anything there may be: whole inputs, damaged ones, damaged ones with right checksums, noise. Each has to be answered rightly, or refused by a named
error: no crash, no hang, nothing skipped in silence.

  TARGET       ${TARGETS.map(t => t.name).join(', ')} (all of them)
  --inputs N   of each target (1,000,000)
  --from N     the first (0): each number is one input, always
  --help       this text

Ends with 1 at the first input that is neither taken nor refused; --from N --inputs 1 is that one alone.`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      inputs: { type: 'string', default: '1000000' },
      from: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const inputs = whole('inputs', values.inputs)
  if (inputs === 0) throw new Error('--inputs is a whole number from 1 on, not 0')
  const from = whole('from', values.from)
  const unknown = positionals.find(name => !TARGETS.some(t => t.name === name))
  if (unknown !== undefined) throw new Error(`there is no target '${unknown}': there are ${TARGETS.map(t => t.name).join(', ')}`)
  for (const name of positionals.length > 0 ? positionals : TARGETS.map(t => t.name)) {
    const began = performance.now()
    const line = statusLine(process.stderr)
    const { taken, refused, slowestMs, slowest, failed } = await fuzz(name, from, inputs, done =>
      line.show(`${name}: ${done.toLocaleString('en')} of ${inputs.toLocaleString('en')}`, performance.now() - began),
    )
    line.clear()
    if (failed !== undefined) {
      console.log(`${name}: input ${failed.input} (npm run fuzz -- ${name} --from ${failed.input} --inputs 1)\n${failed.error}`)
      return 1
    }
    const seconds = (performance.now() - began) / 1000
    console.log(
      `${name}: ${taken.toLocaleString('en')} taken, ${refused.toLocaleString('en')} refused by name, ${seconds.toFixed(1)} s, ${slowestMs.toFixed(0)} ms at most (input ${slowest})`,
    )
  }
  return 0
}

function whole(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} is a whole number, not '${text}'`)
  return Number(text)
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`fuzz: ${(error as Error).message}`)
  process.exitCode = 2
}
