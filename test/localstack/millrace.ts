import { millrace as run } from '../cli/cli.ts'
import { account, endpoint } from './resources.ts'

/** Longer than any takes. What it said until then tells what it waited for. */
const COMMAND_MS_MAX = 600_000

/** The command, as somebody types it who uses LocalStack. */
export const millrace = (...words: string[]) => millraceUntil(undefined, ...words)

/** Killed as soon as it has said `until` on stderr. */
export async function millraceUntil(until: RegExp | undefined, ...words: string[]) {
  const env = {
    AWS_ENDPOINT_URL: endpoint!,
    AWS_REGION: account.region,
    AWS_ACCESS_KEY_ID: account.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: account.credentials.secretAccessKey,
  }
  const result = await run(words, { env, until, timeoutMs: COMMAND_MS_MAX })
  return { ...result, json: () => JSON.parse(result.out) }
}
