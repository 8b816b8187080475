import { NO_FAULTS } from '../../runtime/sim/faults.ts'
import { openServices, openSimPorts } from '../../runtime/sim/ports.ts'
import { dice } from '../../runtime/sim/random.ts'
import { openSandbox } from '../../runtime/sim/sandbox.ts'
import { openScheduler } from '../../runtime/sim/scheduler.ts'
import { portsConformance } from './ports.ts'

portsConformance('runtime/sim', async () => {
  const random = dice(1)
  const scheduler = openScheduler(1_000_000, random.fraction)
  const simulation = { scheduler, dice: random, faults: NO_FAULTS, trace: undefined }
  const ports = openSimPorts(simulation, openServices(simulation), openSandbox(simulation, 'test'))
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
    close: async () => {
      closed = true
    },
  }
})
