import type { Ports } from '../ports.ts'

/** A call to a service. */
export interface PortCall {
  readonly port: 'streams' | 'log' | 'store' | 'blobs'
  readonly method: string
  readonly args: readonly unknown[]
}

/** Does the call, or something else in its place. */
export type Around = (call: PortCall, apply: () => Promise<unknown>) => Promise<unknown>

/** The same ports, each of whose calls goes through `around`. */
export function intercepted(ports: Ports, around: Around): Ports {
  function wrap<P extends object>(port: PortCall['port'], inner: P): P {
    const methods = Object.entries<(...args: any[]) => Promise<unknown>>(inner as never)
    return Object.fromEntries(
      methods.map(([method, fn]) => [
        method,
        (...args: unknown[]) => around({ port, method, args }, () => fn.apply(inner, args)),
      ]),
    ) as P
  }
  const { streams, log, store, blobs, clock, random } = ports
  return {
    streams: wrap('streams', streams),
    log: wrap('log', log),
    store: wrap('store', store),
    blobs: wrap('blobs', blobs),
    clock,
    random,
  }
}
