import { setKey } from '../../runtime/protocol/frame/value-reader.ts'
import type { Dice } from '../../runtime/sim/random.ts'
import { number, text, value } from './values.ts'

type Container = unknown[] | Record<string, unknown>

/** What the same value may be if it was written by somebody else: fields that are missing, twice there, of another type or name, or at their limits. The original stays. */
export function mutateValue<T>(original: T, dice: Dice): unknown {
  let root: unknown = structuredClone(original)
  for (let n = 1 + dice.below(3); n > 0; n--) {
    const places = placesOf(root)
    if (places.length === 0 || dice.chance(0.02)) root = value(dice, 2)
    else change(...dice.pick(places), dice)
  }
  return root
}

/** Every field and element, with what it is in. */
function placesOf(root: unknown, places: [Container, string][] = []): [Container, string][] {
  if (typeof root !== 'object' || root === null || ArrayBuffer.isView(root)) return places
  for (const name of Object.keys(root)) {
    places.push([root as Container, name])
    placesOf((root as Record<string, unknown>)[name], places)
  }
  return places
}

function change(container: Container, name: string, dice: Dice): void {
  const fields = container as Record<string, unknown>
  switch (dice.below(7)) {
    case 0: // missing
      if (Array.isArray(container)) container.splice(Number(name), 1)
      else delete fields[name]
      return
    case 1: // twice
      if (Array.isArray(container)) container.splice(Number(name), 0, structuredClone(fields[name]))
      else setKey(fields, text(dice), structuredClone(fields[name]))
      return
    case 2: // of another name
      if (Array.isArray(container)) container.reverse()
      else {
        setKey(fields, text(dice), fields[name])
        delete fields[name]
      }
      return
    case 3: // a number at its limits
      fields[name] = number(dice)
      return
    case 4:
      fields[name] = text(dice)
      return
    case 5:
      fields[name] = dice.pick([null, undefined, [], {}, '', 0, true])
      return
    default:
      fields[name] = value(dice, 2)
  }
}
