import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { portsConformance } from './ports.ts'

portsConformance('embedded, in memory', async () => {
  const ports = await openEmbedded()
  return { ports, clearing: ports.clearing, close: () => ports.close() }
})

portsConformance('embedded, in a directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-conformance-'))
  const ports = await openEmbedded({ directory })
  const close = async () => {
    await ports.close()
    await rm(directory, { recursive: true })
  }
  return { ports, clearing: ports.clearing, close }
})
