import assert from 'node:assert/strict'
import { DurationError, parseDuration } from '../../../runtime/api/duration.ts'
import { COMMON_FLAGS } from '../../../runtime/cli/command.ts'
import { UsageError } from '../../../runtime/cli/error.ts'
import { commandHelp } from '../../../runtime/cli/help.ts'
import { COMMANDS } from '../../../runtime/cli/main.ts'
import { parseArguments } from '../../../runtime/cli/parse.ts'
import { keysOf } from '../../../runtime/cli/state-get.ts'
import type { Dice } from '../../../runtime/sim/random.ts'
import type { Target } from '../target.ts'
import { several, text } from '../values.ts'

/** What may be typed behind a command: it is understood, or refused in one sentence. */
export const commandLines: Target = {
  name: 'arguments',
  once(dice) {
    const command = dice.pick(COMMANDS)
    const names = Object.keys({ ...command.flags, ...COMMON_FLAGS })
    const words = [...several(dice, () => word(dice, names)), ...several(dice, () => word(dice, names))]
    checkDuration(dice)
    for (const key of keysOf(text(dice))) assert.ok(['string', 'number', 'object'].includes(typeof key))
    try {
      const args = parseArguments(command, words)
      assert.ok(args.has('help') || args.positionals.length <= command.positionals.length)
      for (const [name, flag] of Object.entries(command.flags)) {
        if (flag.value === undefined) assert.equal(args.text(name) === undefined, !args.has(name))
        else assert.ok(flag.repeats || args.text(name) === undefined || typeof args.text(name) === 'string')
      }
      if (args.has('help')) assert.match(commandHelp(command), /\nUsage: millrace /)
      return true
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      assert.ok(error.message.length > 0)
      return false
    }
  },
}

function word(dice: Dice, flags: readonly string[]): string {
  switch (dice.below(6)) {
    case 0:
      return `--${dice.pick(flags)}`
    case 1:
      return `--${dice.pick(flags)}=${text(dice)}`
    case 2:
      return `-${dice.pick(['h', 'x', 'hh', '', '-', '1'])}`
    case 3:
      return `--${text(dice)}`
    case 4:
      return dice.pick(['run', 'file.ts', 'DIR@3', 'stack:X', 'a=b', '10s', '-5m', '{}', '["a",1]'])
    default:
      return text(dice)
  }
}

function checkDuration(dice: Dice): void {
  const given = `${dice.pick([String(dice.below(1e6)), '1.5', '-3', '1e9', '', ' ', '٣', '0x10', '9'.repeat(40)])}${dice.pick(['', ' '])}${dice.pick(['ms', 's', 'm', 'min', 'h', 'd', 'days', 'x', '__proto__', ''])}`
  try {
    assert.ok(Number.isSafeInteger(parseDuration(given as `${number}s`)), given)
  } catch (error) {
    if (!(error instanceof DurationError)) throw error
  }
}
