import type { Ports } from '../../ports.ts'
import { systemClock, systemRandom } from '../clock.ts'
import type { MeteredStreams } from '../meter.ts'
import type { Handlers, Peer } from './peer.ts'

/** What a thread's subtasks call: each is answered by the thread that has the state directory. */
const METHODS = {
  streams: ['put', 'poll', 'trim'],
  log: ['putIfAbsent', 'get', 'batchGet', 'range', 'floor', 'raiseFloor', 'expire'],
  store: ['batchGet', 'range', 'upsert', 'sweep'],
  blobs: ['put', 'putIfAbsent', 'get', 'getRange', 'list', 'delete'],
} as const satisfies { [P in keyof Ports]?: readonly (keyof Ports[P])[] }

type Served = keyof typeof METHODS

const PORTS = Object.keys(METHODS) as Served[]

/** The handlers that answer for these ports. */
export function servePorts(ports: Pick<Ports, Served>): Handlers {
  return Object.fromEntries(
    PORTS.flatMap(port => {
      const served = ports[port] as unknown as Record<string, (...args: unknown[]) => unknown>
      return METHODS[port].map(method => [`${port}.${method}`, (...args: unknown[]) => served[method]!(...args)])
    }),
  )
}

/** Ports whose calls are answered elsewhere. Clock and random ids are the thread's own. */
export function remotePorts(peer: () => Peer): Ports {
  const remote = PORTS.map(port => {
    const methods = METHODS[port].map(method => [method, (...args: unknown[]) => peer().call(`${port}.${method}`, ...args)])
    return [port, Object.fromEntries(methods)]
  })
  return { ...(Object.fromEntries(remote) as Pick<Ports, Served>), clock: systemClock, random: systemRandom }
}

/** Streams whose backlog is counted by whoever answers. */
export function remoteStreams(ports: Ports, peer: () => Peer, congested: () => boolean): MeteredStreams {
  return {
    ...ports.streams,
    // Shards of a run in threads stay as they are (threads/refuse.ts).
    close() {},
    ended: async () => false,
    consumed: (stream, bytes) => peer().tell('consumed', stream, bytes),
    backlogBytes: 0,
    get congested() {
      return congested()
    },
  }
}
