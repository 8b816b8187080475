import { tellStop } from '../../checkpoint/stops.ts'
import { withRunIfAny } from './look.ts'
import type { Stack } from './stack.ts'
import type { Tell } from './stop-stack.ts'

/** A pipeline that has not begun has nobody to tell. */
export function tellRun(stack: Stack): Tell {
  return async stopped => void (await withRunIfAny(stack, (ports, { run }) => tellStop(ports, run, stopped)))
}
