import { after, before, describe, test } from 'node:test'
import type { Clearing, Ports } from '../../runtime/ports.ts'
import { blobsConformance } from './blobs.ts'
import { clearingConformance } from './clearing.ts'
import { clockConformance } from './clock.ts'
import { logConformance } from './log.ts'
import { storeConformance } from './store.ts'
import { streamsConformance } from './streams.ts'

export interface Opened {
  readonly ports: Ports
  readonly clearing: Clearing
  close(): Promise<void>
}

export interface ConformanceOptions {
  /** Tests that cannot hold here, by name, each with its reason. A name that no test has is an error. */
  readonly skip?: Readonly<Record<string, string>>
}

/** Registers one sentence of a port's contract. */
export type Check = (name: string, body: (ports: Ports, clearing: Clearing) => Promise<void>) => void

/**
 * What runtime/ports.ts promises, sentence by sentence, for any implementation. `open` is called once; names of logs, keys and
 * objects are fresh in every test, so that it may lead to a service that remembers earlier runs. Streams are those of
 * `conformanceStreams` (streams.ts), for services where they have to be made beforehand; they must be empty.
 *
 * The suite asks for no more than the contract: a poll may come up short, a batchGet of the log may be stale.
 */
export function portsConformance(name: string, open: () => Promise<Opened>, options: ConformanceOptions = {}): void {
  describe(`${name} keeps the contract of the ports`, () => {
    const names = new Set<string>()
    const skip = options.skip ?? {}
    let opened: Opened | undefined
    before(async () => {
      opened = await open()
    })
    after(() => opened?.close())

    const check: Check = (title, body) => {
      if (names.has(title)) throw new Error(`two conformance tests are called '${title}'`)
      names.add(title)
      test(title, { skip: skip[title] ?? false }, () => body(opened!.ports, opened!.clearing))
    }
    describe('streams', () => streamsConformance(check))
    describe('log', () => logConformance(check))
    describe('store', () => storeConformance(check))
    describe('blobs', () => blobsConformance(check))
    describe('clearing', () => clearingConformance(check))
    describe('clock and random', () => clockConformance(check))

    for (const [title, reason] of Object.entries(skip)) {
      if (!names.has(title)) throw new Error(`no conformance test is called '${title}'`)
      if (reason === '') throw new Error(`skipping '${title}' needs a reason`)
    }
  })
}
