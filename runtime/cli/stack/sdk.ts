import { UsageError } from '../error.ts'

const PACKAGES = ['cloudformation', 'lambda', 'cloudwatch', 'scheduler'].map(name => `@aws-sdk/client-${name}`)

/** Made when it is first needed, and once. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

/** @throws UsageError when the package is not there: it is the user's to install */
export async function installed<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const missing = PACKAGES.find(name => code === 'ERR_MODULE_NOT_FOUND' && message.includes(name))
    if (missing === undefined) throw error
    throw new UsageError(`--stack needs ${missing}, which is not installed: npm install --save-dev ${PACKAGES.join(' ')}`, {
      cause: error,
    })
  }
}

/** The SDK takes `localhost:4566` for a URL, and reports nothing that could be understood. @throws UsageError naming the variable */
export function checkEndpoints(environment: NodeJS.ProcessEnv = process.env): void {
  for (const [name, value] of Object.entries(environment))
    if (/^AWS_ENDPOINT_URL(_|$)/.test(name) && value && !/^https?:\/\/[^/]/i.test(value))
      throw new UsageError(`${name} is '${value}': a URL is needed, such as http://127.0.0.1:4566`)
}

/** @throws UsageError when no region is set */
export async function withRegion<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (/^Region is missing/.test((error as Error).message))
      throw new UsageError('which region the stack is in is not said: set AWS_REGION, or one for the profile in ~/.aws/config', {
        cause: error,
      })
    throw error
  }
}
