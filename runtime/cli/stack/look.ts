import type { RunMeta } from '../../checkpoint/run-meta.ts'
import type { Ports } from '../../ports.ts'
import { UsageError } from '../error.ts'
import type { Stack } from './stack.ts'

/** Looks at the run of a stack, through its tables and its bucket. */
export async function withRun<T>(stack: Stack, look: (ports: Ports, meta: RunMeta) => Promise<T>): Promise<T> {
  const found = await withRunIfAny(stack, look)
  if (found === undefined) throw new UsageError(`${stack.pipeline} has not begun: none of its sources has had a record yet`)
  return found.result
}

export async function withRunIfAny<T>(
  stack: Stack,
  look: (ports: Ports, meta: RunMeta) => Promise<T>,
): Promise<{ readonly result: T } | undefined> {
  const { readRun } = await import('../../checkpoint/run-meta.ts')
  return withPorts(stack, async ports => {
    const meta = await readRun(ports)
    return meta && { result: await look(ports, meta) }
  })
}

/** The tables and the bucket of a stack. */
export async function withPorts<T>({ prefix, tables, bucket }: Stack, work: (ports: Ports) => Promise<T>): Promise<T> {
  const [{ awsPorts }, { stageStreams }] = await Promise.all([import('../../aws/ports.ts'), import('../../aws/names.ts')])
  const ports = awsPorts({ streams: stageStreams(prefix), tables, bucket, prefix: '' })
  try {
    return await work(ports)
  } finally {
    ports.close()
  }
}
