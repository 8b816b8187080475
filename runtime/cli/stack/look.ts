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
  { prefix, tables, bucket }: Stack,
  look: (ports: Ports, meta: RunMeta) => Promise<T>,
): Promise<{ readonly result: T } | undefined> {
  const [{ awsPorts }, { stageStreams }, { readRun }] = await Promise.all([
    import('../../aws/ports.ts'),
    import('../../aws/names.ts'),
    import('../../checkpoint/run-meta.ts'),
  ])
  const ports = awsPorts({ streams: stageStreams(prefix), tables, bucket, prefix: '' })
  try {
    const meta = await readRun(ports)
    return meta && { result: await look(ports, meta) }
  } finally {
    ports.close()
  }
}
