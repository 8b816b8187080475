import type { Clock } from '../../ports.ts'
import type { Control } from './control.ts'

const POLL_MS = 1_000
/** Lambda takes some seconds, at times a minute. */
const WAIT_MS_MAX = 5 * 60_000

/** Has event source mappings deliver, or no longer, and waits until they do. Those that are as they should be already are left alone. */
export async function setMappings(
  control: Pick<Control, 'mappingState' | 'setMapping'>,
  mappings: Readonly<Record<string, string>>,
  enabled: boolean,
  clock: Clock,
): Promise<void> {
  const wanted = enabled ? 'Enabled' : 'Disabled'
  const end = clock.now() + WAIT_MS_MAX
  await Promise.all(
    Object.entries(mappings).map(async ([stage, uuid]) => {
      for (let asked = false; ; await clock.sleep(POLL_MS)) {
        const state = await control.mappingState(uuid)
        if (state === wanted) return
        if (clock.now() > end)
          throw new Error(
            `the event source mapping of stage ${stage} (${uuid}) is still ${state} after ${WAIT_MS_MAX / 60_000} minutes: give the command again`,
          )
        if (!asked) asked = await control.setMapping(uuid, enabled)
      }
    }),
  )
}
