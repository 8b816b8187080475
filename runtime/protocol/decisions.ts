import type { CommitLog } from '../ports.ts'
import { decodeItem } from './item.ts'

/** What a producer's slot says of a frame: its attempt won, lost, or nobody knows yet. */
export type Decision = 'won' | 'lost' | 'undecided'

/** Slots that were looked up; a slot never changes once written, so it need not be asked again. */
export class Decisions {
  private readonly log: CommitLog
  /** By log name: version → attempt of the commit there, or '' for an abort. */
  private readonly known = new Map<string, Map<number, string>>()

  constructor(log: CommitLog) {
    this.log = log
  }

  /** One read for all slots of a delivery (protocol.md, B4): what is not answered stays open. */
  async lookUp(slots: readonly { log: string; version: number }[]): Promise<void> {
    const open = new Map<string, { log: string; version: number }>()
    for (const s of slots) if (this.slotsOf(s.log).get(s.version) === undefined) open.set(`${s.log}#${s.version}`, s)
    if (open.size === 0) return
    const asked = [...open.values()]
    const answers = await this.log.batchGet(asked)
    answers.forEach((answer, i) => {
      if (answer !== undefined && answer !== 'unknown') this.remember(asked[i]!.log, asked[i]!.version, answer)
    })
  }

  /** Absence is asked again, strongly. */
  async confirm(log: string, version: number): Promise<void> {
    const bytes = await this.log.get(log, version)
    if (bytes !== undefined) this.remember(log, version, bytes)
  }

  of(log: string, version: number, attempt: string): Decision {
    const winner = this.slotsOf(log).get(version)
    return winner === undefined ? 'undecided' : winner === attempt ? 'won' : 'lost'
  }

  private remember(log: string, version: number, bytes: Uint8Array): void {
    const item = decodeItem(bytes)
    const slots = this.slotsOf(log)
    slots.set(version, item.kind === 'abort' ? '' : item.attempt)
    if (slots.size > 1000) slots.delete(slots.keys().next().value!)
  }

  private slotsOf(log: string): Map<number, string> {
    let slots = this.known.get(log)
    if (slots === undefined) {
      slots = new Map()
      this.known.set(log, slots)
    }
    return slots
  }
}
