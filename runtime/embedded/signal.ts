/** Something to wait for that others announce; announcements made while nobody waits are not lost. */
export class Signal {
  private announced = false
  private waiting: (() => void) | undefined

  announce(): void {
    this.announced = true
    this.waiting?.()
  }

  /** Resolves at the next announcement, or after `ms`. */
  async wait(ms: number): Promise<void> {
    if (!this.announced) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.waiting = resolve
        timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1))
      })
      clearTimeout(timer)
      this.waiting = undefined
    }
    this.announced = false
  }
}

/** Lets timers and sockets have their turn: the embedded ports answer in microtasks, which would starve them. */
export function breathe(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
