import { type Call, caller } from '../../runtime/aws/call.ts'
import { type Meters, meters } from '../../runtime/aws/meter.ts'
import type { Clock, Random } from '../../runtime/ports.ts'

/** As the SDK throws it. */
export function serviceError(name: string, httpStatusCode = 400, message = `${name} said so`): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode } })
}

export function networkError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

export interface FakeClock extends Clock {
  time: number
  readonly sleeps: number[]
}

/** Time passes only in sleeps, and by hand. */
export function fakeClock(time = 1_000_000_000_000): FakeClock {
  const clock: FakeClock = {
    time,
    sleeps: [],
    now: () => clock.time,
    async sleep(ms) {
      clock.sleeps.push(ms)
      clock.time += ms
    },
  }
  return clock
}

/** Ids are i1, i2, …; `fraction` is always the same. */
export function fakeRandom(fraction = 0.5): Random {
  let ids = 0
  return { id: () => `i${++ids}`, fraction: () => fraction }
}

/** A client of the SDK, as far as the ports use it: `answer` gets the command's name and input. */
export function fakeClient(answer: (name: string, input: any) => unknown): any {
  return {
    send: async (command: { constructor: { name: string }; input: unknown }) => answer(command.constructor.name, command.input),
  }
}

export interface FakeCalls {
  readonly call: Call
  readonly clock: FakeClock
  readonly random: Random
  readonly meters: Meters
}

export function fakeCalls(deadline?: () => number | undefined): FakeCalls {
  const [clock, random, counted] = [fakeClock(), fakeRandom(), meters()]
  return { call: caller({ clock, random, meters: counted, deadline }), clock, random, meters: counted }
}
