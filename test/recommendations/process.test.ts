import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const client = new URL('../../examples/recommendations/models/client.ts', import.meta.url).href
const user = `{ user_id: 'u', window_end: 1, activity: { recent_queries: [], recent_clicks: ['i1'], categories: {}, searches: 0, clicks: 1, views: 0 } }`

function run(script: string) {
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('the model process starts with the first call and does not keep the pipeline alive', async () => {
  const parent = run(`
    const { ownModels } = await import('${client}')
    const [user] = await ownModels().userTower([${user}])
    console.log(user.embedding.length)`)
  const [output] = await once(parent.stdout!, 'data')
  assert.equal(String(output).trim(), '128')
  assert.deepEqual(await once(parent, 'exit'), [0, null])
})

// If the models outlived a killed pipeline, every kill of the kill tests would leave a process behind.
test('the model process ends when the pipeline is killed', async () => {
  const parent = run(`
    const { startModels } = await import('${client}')
    console.log(await startModels())
    setInterval(() => {}, 1000)`)
  const [url] = await once(parent.stdout!, 'data')
  const alive = (): Promise<boolean> =>
    fetch(String(url).trim()).then(
      () => true,
      () => false,
    )
  assert.equal(await alive(), true)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  for (let i = 0; i < 1200 && (await alive()); i++) await sleep(50)
  assert.equal(await alive(), false)
})
