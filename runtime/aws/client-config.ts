import { NodeHttpHandler } from '@smithy/node-http-handler'

const CONNECT_MS_MAX = 3_000
/** A few port calls at a time, each with its lanes (concurrency.ts). The SDK's default would have them queue, and warn about it. */
const CONNECTIONS_MAX = 128

export interface ClientOptions {
  /** Default: as the SDK finds it (AWS_REGION, profile). */
  readonly region?: string
  /** Another place than AWS: LocalStack. Default: as the SDK finds it (AWS_ENDPOINT_URL). */
  readonly endpoint?: string
  /** Default: as the SDK finds them. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
}

/**
 * What all clients are made with; each call makes a pool of kept connections. HTTP/1.1 for Kinesis too: its client would take HTTP/2, which LocalStack does not speak,
 * and which has all calls wait when its one connection dies.
 */
export function clientConfig({ region, endpoint, credentials }: ClientOptions) {
  const requestHandler = new NodeHttpHandler({
    connectionTimeout: CONNECT_MS_MAX,
    httpAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
    httpsAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
  })
  // Tries are call.ts's business.
  return { region, endpoint, credentials, requestHandler, maxAttempts: 1 }
}
