import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { readManifest } from '../../runtime/checkpoint/manifest.ts'
import { completeCheckpoints } from '../../runtime/checkpoint/restore.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { fileSink, fileSource } from '../../runtime/index.ts'
import { sortedLines } from '../engine/events.ts'
import { expected, sorted } from './embedded-run.ts'
import { embeddedWorld } from './embedded-world.ts'
import { generate, visits } from './visits.ts'
import { checkpoint, deploy, drain } from './world.ts'

test('an embedded run takes the state of a checkpoint of the functions, reads the rest of the records from files, and ends the same', async () => {
  const input = generate(400, 2)
  const world = await embeddedWorld(visits(), input, 2)
  const mappings = deploy(world, world.topology)
  for (const m of mappings) await m.step(90)
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  const before = await world.rows('pages')
  const [n] = (await completeCheckpoints(world.ports, world.topology.run)).slice(-1)
  const manifest = await readManifest(world.ports.blobs, world.topology.run, n!)
  const taken = manifest.subtasks.filter(s => s.stage === 0).map(s => s.head.counts.recordsIn)
  assert.ok(taken.every((count, i) => count > 0 && count < input[i]!.length))
  // The stack goes on: nothing of that is seen from the checkpoint.
  await drain(mappings)
  const dir = mkdtempSync(join(tmpdir(), 'millrace-from-stack-'))
  const files = input.map((records, i) => {
    const path = join(dir, `${i}.ndjson`)
    writeFileSync(
      path,
      records
        .slice(taken[i])
        .map(r => `${r}\n`)
        .join(''),
    )
    return path
  })
  const run = (paths: string[], checkpointNumber?: number) =>
    runEmbedded(visits().graph(), {
      parallelism: 2,
      state: join(dir, `state-${paths.length}`),
      from: {
        store: { name: 'the stack Test', open: async () => ({ ...world.ports, close: async () => {} }) },
        ...(checkpointNumber !== undefined && { checkpoint: checkpointNumber }),
      },
      sources: { visits: fileSource(paths) },
      sinks: { pages: fileSink(join(dir, 'pages')), rejected: fileSink(join(dir, 'rejected')) },
    })
  await assert.rejects(run(files, 99), /the stack Test has no checkpoint 99 to start from/)
  await assert.rejects(run([files[0]!]), /source 'visits' had 2 splits when .* new input has 1/)
  const summary = await run(files)
  assert.equal(summary.outcome, 'finished')
  const after = sortedLines(join(dir, 'pages')).map(line => JSON.parse(line))
  assert.deepEqual(sorted([...before, ...after]), (await expected(visits(), input, 2)).pages)
  // The functions know nothing of it.
  assert.equal((await checkpoint(world, mappings)).outcome, 'complete')
  assert.deepEqual(sorted(await world.rows('pages')), (await expected(visits(), input, 2)).pages)
})
