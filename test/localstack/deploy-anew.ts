import type { Pipeline } from '../../runtime/index.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { type Deployed, openDeployed } from './deployed.ts'
import { stackExists } from './remains.ts'

/** A test's stack with nothing in it yet, and its pipeline from outside: a construct named `Pipeline`, whose results lie under `out/` of a bucket of their own. */
export async function deployAnew(
  source: StackSource,
  app: Pipeline,
): Promise<{ deployed: Deployed; outputs: Readonly<Record<string, string>> }> {
  // Of a run that was broken off: its records would count.
  if (await stackExists(source.stack)) await destroy(source)
  const outputs = await deploy(source)
  const results = { bucket: outputs.ResultsBucket!, prefix: 'out/' }
  const sourceStream = outputs.SourceStream ?? 'none'
  return { deployed: await openDeployed({ app, outputs, id: 'Pipeline', sourceStream, results }), outputs }
}
