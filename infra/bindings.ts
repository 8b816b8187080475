import { Stack } from 'aws-cdk-lib'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { PhysicalPlan } from '../runtime/graph/plan.ts'
import { InfraError } from './error.ts'
import type { FilesInBucket } from './props.ts'
import { checkSource, isObjects, type Sources } from './sources.ts'

/** Every source has something to read, and all there is to read a source. */
export function checkSources({ graph }: PhysicalPlan, given: Sources): void {
  const names = graph.nodes.flatMap(({ source }) => source?.name ?? [])
  checkNames('source', graph.name, Object.keys(given), names)
  const missing = names.find(name => !Object.hasOwn(given, name))
  if (missing !== undefined)
    throw new InfraError(
      `${graph.name}'s source '${missing}' has no stream: name one in sources, as in \`sources: { ${JSON.stringify(missing)}: stream }\``,
    )
  for (const [name, source] of Object.entries(given)) checkSource(name, source)
}

/** Of sinks that write to a bucket: where. A file beside a function would be lost with it. */
export function bindFiles(
  { graph }: PhysicalPlan,
  given: Readonly<Record<string, FilesInBucket>>,
): Record<string, Required<FilesInBucket>> {
  const sinks = graph.nodes.flatMap(({ sink }) => sink ?? [])
  const names = sinks.map(({ name }) => name)
  checkNames('sink', graph.name, Object.keys(given), names)
  const lost = sinks.find(({ name, sink }) => sink.file !== undefined && !Object.hasOwn(given, name))
  if (lost !== undefined)
    throw new InfraError(
      `${graph.name}'s sink '${lost.name}' writes ${lost.sink.describe()}, which a function has no place for: give it a bucket, as in \`sinks: { ${JSON.stringify(lost.name)}: { bucket } }\``,
    )
  for (const [name, { prefix }] of Object.entries(given))
    if (prefix && !prefix.endsWith('/'))
      throw new InfraError(`sinks.${name}.prefix is '${prefix}': it has to end in '/', or be left out`)
  return Object.fromEntries(Object.entries(given).map(([name, { bucket, prefix }]) => [name, { bucket, prefix: prefix ?? '' }]))
}

/** No pipeline reads what it writes itself: it would never come to an end. */
export function checkLoops(
  given: Sources,
  files: Readonly<Record<string, Required<FilesInBucket>>>,
  own: IBucket | undefined,
): void {
  for (const [name, source] of Object.entries(given)) {
    if (!isObjects(source)) continue
    const { bucket, prefix = '' } = source.objects
    if (own !== undefined && isSame(bucket, own))
      throw new InfraError(`sources.${name}.objects.bucket is \`bucket\`, where the pipeline's own state lies: give it another`)
    for (const [sink, at] of Object.entries(files)) {
      const written = [`${at.prefix}${sink}/`, `${at.prefix}_staging/${sink}/`]
      if (isSame(bucket, at.bucket) && written.some(keys => keys.startsWith(prefix) || prefix.startsWith(keys)))
        throw new InfraError(
          `sources.${name}.objects would read what sink '${sink}' writes, ${written[0]}… in the same bucket: give one of them a prefix of its own`,
        )
    }
  }
}

function isSame(a: IBucket, b: IBucket): boolean {
  const nameOf = (bucket: IBucket) => JSON.stringify(Stack.of(bucket).resolve(bucket.bucketName))
  return a === b || (Stack.of(a) === Stack.of(b) && nameOf(a) === nameOf(b))
}

/** Variables that Lambda or these functions set. */
const TAKEN = /^(MILLRACE_|AWS_(REGION|DEFAULT_REGION|LAMBDA_.*|EXECUTION_ENV|ACCESS_KEY.*|SECRET_ACCESS_KEY|SESSION_TOKEN)|_)/

export function checkEnvironment(environment: Readonly<Record<string, string>>): void {
  const taken = Object.keys(environment).find(name => TAKEN.test(name))
  if (taken !== undefined)
    throw new InfraError(`environment: ${taken} is one of the names that the functions use themselves: choose another`)
}

function checkNames(kind: string, pipeline: string, given: readonly string[], names: readonly string[]): void {
  const unknown = given.find(name => !names.includes(name))
  if (unknown !== undefined)
    throw new InfraError(`${pipeline} has no ${kind} '${unknown}': its ${kind}s are ${names.join(', ') || 'none'}`)
}
