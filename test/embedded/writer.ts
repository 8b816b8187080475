import { writeSync } from 'node:fs'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { noise } from '../conformance/data.ts'
import { isBlob, payload } from './written.ts'

/** Writes numbered things for ever, each to every port in turn, and says on stdout which were acknowledged. Started by durability.test.ts. */
const [directory, first = '0', replaces = 'true'] = process.argv.slice(2)
const ports = await openEmbedded({ directory })
writeSync(1, 'open\n')

for (let i = Number(first); ; i++) {
  await ports.streams.put('s', i % 2, payload(i))
  await ports.log.putIfAbsent('l', i, payload(i))
  await ports.store.upsert([
    { pk: 'p', sk: `k${i}`, v: i + 1, value: payload(i) },
    { pk: 'p', sk: 'latest', v: i + 1, value: payload(i) },
  ])
  if (isBlob(i)) await ports.blobs.put(`b/${i}`, noise(i % 50 === 0 ? 300_000 : 1000, i + 1))
  if (isBlob(i) && replaces === 'true') await ports.blobs.put('replaced', noise(300_000, i + 1))
  writeSync(1, `${i}\n`)
}
