import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { GetFunctionConfigurationCommand, InvokeCommand } from '@aws-sdk/client-lambda'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { deploy, destroy, type StackSource, templateOf } from './cdk.ts'
import { deployAnew } from './deploy-anew.ts'
import type { Deployed } from './deployed.ts'
import { resourcesOf } from './remains.ts'
import { withoutLocalStack } from './resources.ts'

const SPLITS = 2
const RECORDS = 100
const source: StackSource = { stack: 'Visits', app: 'test/localstack/stacks/visits-app.ts' }
const withEntry = (file: string): StackSource => ({
  ...source,
  environment: { VISITS_ENTRY: `test/localstack/stacks/${file}` },
})

describe('a deployment over a running pipeline', { skip: withoutLocalStack }, () => {
  const rounds: string[][][] = []
  let deployed: Deployed
  before(async () => {
    deployed = (await deployAnew(source, visits())).deployed
    await nextRound()
  })
  after(async () => {
    deployed?.close()
    await destroy(source)
  })

  /** One more round of records, and all of them so far give what one embedded run gives: users are counted on. */
  async function nextRound(): Promise<void> {
    const round = generate(RECORDS, SPLITS, rounds.length)
    rounds.push(round)
    await Promise.all(round.map((split, shard) => deployed.feed(shard, split)))
    await deployed.settle()
    const fed = Array.from({ length: SPLITS }, (_, i) => rounds.flatMap(r => r[i]!))
    assert.deepEqual(sorted(await deployed.rows('pages')), (await expected(visits(), fed, SPLITS)).pages)
  }

  const codes = () =>
    Promise.all(
      Object.values(deployed.functions).map(
        async f => (await deployed.lambda.send(new GetFunctionConfigurationCommand({ FunctionName: f.function }))).CodeSha256,
      ),
    )

  test('of new code that the state fits goes on with it', async () => {
    const before = await codes()
    await deploy(withEntry('visits-new.ts'))
    assert.notDeepEqual(await codes(), before)
    await nextRound()
  })

  // LocalStack leaves custom resources out. So this asks as CloudFormation would: the function that was deployed, with what the template of the next deployment says.
  test('of code that the state does not fit is refused by name, before anything is changed', async () => {
    const refused = await ask(await templateOf(withEntry('visits-other.ts')))
    assert.equal(refused.Status, 'FAILED')
    assert.match(
      refused.Reason,
      /written by another plan of 'visits' \(.*pages-of-users.*\): deploy the code that it was made by/,
    )
    assert.equal((await ask(await templateOf(withEntry('visits-new.ts')))).Status, 'SUCCESS')
  })

  async function ask({ Resources }: any): Promise<any> {
    const of = (type: string) => Object.entries<any>(Resources).filter(([, { Type }]) => Type === type)
    const [[LogicalResourceId, { Properties }]] = of('Custom::MillraceCompatibleState') as [[string, any]]
    const { ServiceToken, ServiceTimeout: _, ...ResourceProperties } = Properties
    const check = (await resourcesOf(source.stack)).find(r => r.logicalId === ServiceToken['Fn::GetAtt'][0])!
    let answer = ''
    const server = createServer((request, response) => {
      request.on('data', data => {
        answer += data
      })
      request.on('end', () => response.end())
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const ResponseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const ids = { StackId: 'stack', RequestId: 'request', LogicalResourceId }
    const Payload = JSON.stringify({ RequestType: 'Update', ResponseURL, ...ids, ResourceProperties })
    const { FunctionError, Payload: said } = await deployed.lambda.send(new InvokeCommand({ FunctionName: check.id, Payload }))
    server.close()
    assert.equal(FunctionError, undefined, Buffer.from(said ?? []).toString())
    return JSON.parse(answer)
  }
})
