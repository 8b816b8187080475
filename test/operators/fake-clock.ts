/** A clock that only moves when told to. */
export class FakeClock {
  time = 0
  private sleepers: { at: number; wake: () => void }[] = []

  get sleeping(): number {
    return this.sleepers.length
  }

  now = (): number => this.time

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const sleeper = { at: this.time + ms, wake: resolve }
      this.sleepers.push(sleeper)
      signal?.addEventListener('abort', () => {
        this.sleepers = this.sleepers.filter(s => s !== sleeper)
        resolve()
      })
    })

  /** Wakes sleepers in order of time, and lets everything that follows from each happen before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.time + ms
    await settle()
    for (;;) {
      const next = this.sleepers.filter(s => s.at <= until).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.sleepers = this.sleepers.filter(s => s !== next)
      this.time = Math.max(this.time, next.at)
      next.wake()
      await settle()
    }
    this.time = until
  }
}

/** Lets all promises that can go on do so. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
