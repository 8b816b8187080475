import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkpointHandler } from '../../runtime/aws/functions/checkpoint.ts'
import { joinHandler } from '../../runtime/aws/functions/join-source.ts'
import { readRun } from '../../runtime/checkpoint/run-meta.ts'
import { FunctionFailedError } from '../../runtime/cli/stack/control.ts'
import { joinSources } from '../../runtime/cli/stack/join-sources.ts'
import { restoreStack } from '../../runtime/cli/stack/restore-stack.ts'
import { openCheckpoint, type Snapshot, snapshotAt } from '../../runtime/cli/stack/snapshot.ts'
import { type Stack, stackOrigin } from '../../runtime/cli/stack/stack.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { sortedLines } from '../engine/events.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import type { EmbeddedWorld } from '../functions/embedded-world.ts'
import { stackWorld } from '../functions/restored.ts'
import { generate, visits } from '../functions/visits.ts'
import { checkpoint, context, deploy, drain, environment } from '../functions/world.ts'
import { millrace } from './cli.ts'

const input = generate(300, 2)
const embedded = await expected(visits(), input, 2)
const FIRST = 100
const firstPart = input.map(records => records.slice(0, FIRST))

/** The stack of a world, and what the commands ask of AWS. */
function stackOf(world: EmbeddedWorld, name: string, stream = 'users-own') {
  const ids = world.topology.stages.map(({ stage }) => stage.id)
  const stages = Object.fromEntries(
    ids.map((id, i) => [id, { function: id, reads: 'kinesis', mapping: `m-${id}`, ...(i === 0 && { cut: 'cut', stream }) }]),
  )
  const stack = {
    pipeline: 'visits',
    tables: { log: `${name}-log`, state: `${name}-state` },
    checkpointFunction: 'checkpoint',
    stages,
  } as unknown as Stack
  let state = 'Disabled'
  const calls: string[] = []
  const control = {
    calls,
    set state(to: string) {
      state = to
    },
    mappingState: async () => state,
    async invoke(called: string, event: any): Promise<any> {
      calls.push(called)
      try {
        if (called === 'checkpoint') return await checkpointHandler(environment(world))(event, context())
        return await joinHandler(environment(world, called))(event, context())
      } catch (error) {
        throw new FunctionFailedError(called, { errorType: (error as Error).name, errorMessage: (error as Error).message })
      }
    },
  }
  return { stack, control, world }
}
type Side = ReturnType<typeof stackOf>

const NO = { newInput: false, replace: false, allowDrop: false }
const restore = ({ control, stack, world }: Side, snapshot: Snapshot, options = NO) =>
  restoreStack(control, stack, world.ports, snapshot, options, () => {})

/** As `millrace fork` has it. */
function forkOf({ stack, world }: Side, n?: number): Snapshot {
  return {
    own: false,
    open: async work => openCheckpoint(world.ports, (await readRun(world.ports))!.run, n, stackOrigin('Shop', stack), work),
  }
}

/** From its restore on, as its mappings do when they are switched on; gives what it has in the end. */
async function playOn({ control, stack, world }: Side): Promise<string[]> {
  await joinSources(control, stack, world.ports, () => {})
  const mappings = deploy(world, (await environment(world).run()).topology)
  await drain(mappings)
  await checkpoint(world, mappings)
  return sorted(await world.rows('pages'))
}

/** One that has taken a checkpoint of the first part of the input, and then the rest of it. */
async function running() {
  const world = await stackWorld(firstPart)
  const mappings = deploy(world, world.topology)
  await drain(mappings)
  await checkpoint(world, mappings)
  const before = sorted(await world.rows('pages'))
  for (const [shard, records] of input.entries())
    for (const record of records.slice(FIRST)) await world.ports.streams.put('users-own', shard, Buffer.from(record))
  await drain(mappings)
  await checkpoint(world, mappings)
  return { side: stackOf(world, 'shop'), before }
}

const empty = input.map(() => [])

describe('a stack that starts from a snapshot', () => {
  test('is forked: the same command again goes on, and nothing of the copy stays in its bucket', async () => {
    const { side, before } = await running()
    const fork = stackOf(await stackWorld(empty, side.world), 'fork')
    await assert.rejects(restore(fork, forkOf(side, 1)), {
      name: 'UsageError',
      message: /has a run already, which did not begin with checkpoint 1 of the stack Shop: with --replace/,
    })
    const options = { ...NO, replace: true }
    const name = 'checkpoint 1 of the stack Shop'
    assert.deepEqual(await restore(fork, forkOf(side, 1), options), { from: name, resumed: false })
    assert.deepEqual(await restore(fork, forkOf(side, 1)), { from: name, resumed: true })
    assert.deepEqual([await fork.world.ports.blobs.list('restores/'), await side.world.ports.blobs.list('holds/')], [[], []])
    assert.deepEqual([...before, ...(await playOn(fork))].sort(), embedded.pages)
    // Each of its subtasks has been asked once, and there is no more to ask.
    fork.control.calls.length = 0
    await joinSources(fork.control, fork.stack, fork.world.ports, () => {})
    assert.deepEqual(fork.control.calls, ['source-visits', 'source-visits'])
  })

  test('is refused while it runs, and where its positions mean nothing', async () => {
    const { side } = await running()
    const other = stackOf(await stackWorld(empty, side.world), 'other', 'another-stream')
    await assert.rejects(restore(other, forkOf(side), { ...NO, replace: true }), {
      name: 'UsageError',
      message: /source-visits reads stream another-stream, but read stream users-own when checkpoint 2 .* --new-input/,
    })
    await assert.rejects(restore(other, forkOf(side, 9)), /the stack Shop has no checkpoint 9: it has kept 1, 2/)
    other.control.state = 'Enabled'
    await assert.rejects(restore(other, forkOf(side)), /visits runs, and starts from a snapshot only when it is stopped/)
    assert.deepEqual(other.control.calls, [])
  })

  test('from a savepoint of an embedded run has its state, and reads its streams from the beginning', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-restore-stack-'))
    const files = firstPart.map((records, i) => {
      writeFileSync(join(dir, `${i}.ndjson`), records.map(r => `${r}\n`).join(''))
      return join(dir, `${i}.ndjson`)
    })
    await runEmbedded(visits().graph(), {
      parallelism: 2,
      state: join(dir, 'state'),
      keepOpen: true,
      sources: { visits: fileSource(files) },
      sinks: { pages: fileSink(join(dir, 'pages')), rejected: fileSink(join(dir, 'rejected')) },
    })
    const path = join(dir, 'savepoint')
    const { code, err } = await millrace(['savepoint', 'create', join(dir, 'state'), '--to', path])
    assert.equal(code, 0, err)
    const world = await stackWorld(input.map(records => records.slice(FIRST)))
    const side = stackOf(world, 'shop')
    const control = { outputs: async () => undefined }
    await assert.rejects(snapshotAt(join(dir, 'state'), side.stack, control), /millrace savepoint create DIR --to PATH makes one/)
    await assert.rejects(snapshotAt('stack:', side.stack, control), /a stack's name is missing/)
    const snapshot = await snapshotAt(path, side.stack, control)
    assert.deepEqual(await restore(side, snapshot, { ...NO, replace: true }), { from: path, resumed: false })
    const before = sorted(sortedLines(join(dir, 'pages')).map(line => JSON.parse(line)))
    assert.ok(before.length > 0)
    assert.deepEqual([...before, ...(await playOn(side))].sort(), embedded.pages)
  })

  test('of which a restore was cut off starts by the same command only', async () => {
    const { side } = await running()
    const { ports } = side.world
    // The old run has ended by then, and the new one has not begun.
    const broken = { ...ports, blobs: { ...ports.blobs, putIfAbsent: () => Promise.reject(new Error('killed')) } }
    const back: EmbeddedWorld['back'] = deadline => ({ ...side.world.back(deadline), ports: broken })
    const dying = { ...side.world, back }
    const own: Snapshot = { own: true, checkpoint: 1 }
    await assert.rejects(restore({ ...stackOf(dying, 'shop'), stack: side.stack }, own), /killed/)
    await assert.rejects(
      joinSources(side.control, side.stack, ports, () => {}),
      {
        name: 'UsageError',
        message: 'starting from checkpoint 1 was interrupted in this stack: give the same command again',
      },
    )
    assert.equal((await restore(side, own)).from, 'its checkpoint 1')
    assert.deepEqual(await playOn(side), embedded.pages)
  })
})

test('what a fork or a start is not told is said before AWS is asked for anything', async () => {
  const { code, err } = await millrace(['fork', '--stack', 'Shop'])
  assert.deepEqual([code, err], [2, 'millrace: --to OTHER is needed: the stack that is to be the copy\n'])
  for (const flag of ['--new-input', '--replace']) {
    const alone = await millrace(['start', '--stack', 'Shop', flag])
    assert.deepEqual([alone.code, alone.err], [2, `millrace: ${flag} goes with --from-snapshot only\n`])
  }
})
