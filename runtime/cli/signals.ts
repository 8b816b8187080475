/** A second signal this soon after the first is the same Ctrl-C, forwarded by a launcher. */
const SAME_MS = 300

/** The first SIGINT or SIGTERM aborts (and calls `onStop`), the second ends the process at once with 130. */
export function stopSignal(onStop: () => void): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController()
  let first = 0
  const handle = () => {
    if (first === 0) {
      first = Date.now()
      onStop()
      controller.abort()
    } else if (Date.now() - first > SAME_MS) process.exit(130)
  }
  process.on('SIGINT', handle).on('SIGTERM', handle)
  return { signal: controller.signal, dispose: () => process.off('SIGINT', handle).off('SIGTERM', handle) }
}
