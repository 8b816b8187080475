import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

/** As cdk.json has it, with the CDK's own check of the template against CloudFormation's schemas, and cdk-nag. */
async function synth(environment: Readonly<Record<string, string>>) {
  const { app, context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  assert.equal(app, 'npx node infra/app.ts')
  const CDK_OUTDIR = mkdtempSync(join(tmpdir(), 'millrace-app-'))
  const { MODELS_URL, REDIS_URL, ...own } = process.env
  const env = { ...own, CDK_OUTDIR, CDK_CONTEXT_JSON: JSON.stringify(context), ...environment }
  const child = spawn(process.execPath, ['infra/app.ts'], { env })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (said += data))
  const code = await new Promise(resolve => child.on('close', resolve))
  assert.equal(code, 0, said)
  return { directory: CDK_OUTDIR, read: (name: string) => JSON.parse(readFileSync(join(CDK_OUTDIR, name), 'utf8')) }
}

test('cdk.json makes the recommendation pipeline, and neither CDK nor cdk-nag has anything to say', async t => {
  const began = performance.now()
  const { read, directory } = await synth({})
  t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s, on a machine that does other things beside`)
  assert.deepEqual(read('validation-report.json').pluginReports, [])
  const template = read('Recommendations.template.json')
  const outputs = Object.keys(template.Outputs)
  for (const name of ['PipelineStages', 'PipelineCheckpoints', 'EventsStream', 'ResultsBucket'])
    assert.ok(outputs.includes(name), name)
  const handler: any = Object.values(template.Resources).find((r: any) => r.Properties?.Environment?.Variables?.MILLRACE_SINKS)
  // Without a Redis they all write to the bucket.
  for (const sink of ['trending', 'activity', 'recommendations'])
    assert.ok(JSON.stringify(handler.Properties.Environment.Variables.MILLRACE_SINKS).includes(sink), sink)
  const assets = readdirSync(directory).filter(name => name.startsWith('asset.'))
  assert.equal(assets.length, 1)
})
