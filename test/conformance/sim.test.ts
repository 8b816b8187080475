import { simClearing } from '../../runtime/sim/clearing.ts'
import { NO_FAULTS } from '../../runtime/sim/faults.ts'
import { evenShards, openLineage } from '../../runtime/sim/lineage.ts'
import { openServices, openSimPorts } from '../../runtime/sim/ports.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openSandbox } from '../../runtime/sim/sandbox.ts'
import { openScheduler } from '../../runtime/sim/scheduler.ts'
import { streamOf } from '../../runtime/sim/streams.ts'
import { portsConformance } from './ports.ts'
import { conformanceShards, conformanceStreams } from './streams.ts'

portsConformance('runtime/sim', async () => {
  const random = dice(1)
  const scheduler = openScheduler(1_000_000, random.fraction)
  const simulation = { scheduler, dice: random, faults: NO_FAULTS, trace: undefined }
  const [services, sandbox] = [openServices(simulation), openSandbox(simulation, 'test')]
  for (const stream of conformanceStreams) services.between.set(streamOf(stream), openLineage(evenShards(conformanceShards)))
  const ports = openSimPorts(simulation, services, sandbox)
  let closed = false
  // Time passes by itself as long as somebody waits.
  const pass = async () => {
    while (!closed) {
      await scheduler.run(() => closed)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  void pass()
  return {
    ports,
    clearing: simClearing(simulation, services, sandbox),
    close: async () => {
      closed = true
    },
  }
})
