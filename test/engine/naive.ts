import type { Event } from './events.ts'

export interface Expected {
  readonly out?: readonly unknown[]
  readonly side?: readonly unknown[]
}

/** The results of some of the pipelines, worked out from the definition over the whole list of events. */
export const expected: Record<string, (events: readonly Event[]) => Expected> = {
  stateless(events) {
    const dear = events.filter(e => e.amount > 200).map(e => ({ ...e, tag: `${e.user}/${e.item}` }))
    const twice = dear.flatMap(e => (e.kind === 'buy' ? [e, { ...e, tag: 'again' }] : [e]))
    return { out: [...twice, ...events.filter(e => e.amount < 10).map(e => ({ ...e, tag: 'cheap' }))] }
  },

  'window-late'(events) {
    const windows = new Map<string, { item: string; n: number; start: number }>()
    const late: Event[] = []
    let highest = Number.NEGATIVE_INFINITY
    for (const e of events) {
      const watermark = highest - 2001
      const starts = [0, 5000].map(back => Math.floor(e.at / 5000) * 5000 - back).filter(start => start + 10_000 - 1 > watermark)
      if (starts.length === 0) late.push(e)
      for (const start of starts) {
        const id = `${start}/${e.item}`
        const window = windows.get(id) ?? { item: e.item, n: 0, start }
        window.n++
        windows.set(id, window)
      }
      highest = Math.max(highest, e.at)
    }
    return { out: [...windows.values()], side: late }
  },

  'interval-join'(events) {
    const out: unknown[] = []
    for (const l of events) {
      if (l.kind !== 'view') continue
      for (const r of events) {
        if (r.kind === 'buy' && r.user === l.user && r.at >= l.at - 3000 && r.at <= l.at + 5000) {
          out.push({ l: l.id, r: r.id, at: [l.at, r.at] })
        }
      }
    }
    return { out }
  },

  'window-join'(events) {
    const start = (e: Event) => Math.floor(e.at / 20_000) * 20_000
    const out: unknown[] = []
    for (const l of events) {
      if (l.kind !== 'view') continue
      for (const r of events) {
        if (r.kind === 'buy' && r.item === l.item && start(r) === start(l)) {
          out.push({ key: l.item, l: l.id, r: r.id, start: start(l) })
        }
      }
    }
    return { out }
  },

  'dedup-sum'(events) {
    const unique = new Map(events.map(e => [e.id, e]))
    return { out: sums([...unique.values()], 'item', e => e.amount) }
  },

  'top-n'(events) {
    const counts = new Map<number, Map<string, number>>()
    for (const e of events) {
      const end = Math.floor(e.at / 10_000) * 10_000 + 10_000
      for (const w of [end, end + 10_000]) {
        const items = counts.get(w) ?? new Map<string, number>()
        items.set(e.item, (items.get(e.item) ?? 0) + 1)
        counts.set(w, items)
      }
    }
    const out = [...counts].flatMap(([end, items]) =>
      [...items]
        .map(([item, n]) => ({ item, n, end }))
        .sort((a, b) => b.n - a.n || (a.item < b.item ? -1 : 1))
        .slice(0, 3)
        .map((value, i) => ({ rank: i + 1, value })),
    )
    return { out }
  },

  async(events) {
    const rows = sums(events, 'item', e => e.amount * 2 + 1)
    return { out: rows.map(r => ({ ...r, batched: true })) }
  },

  'processing-time'(events) {
    const totals = new Map<string, number>()
    for (const e of events) totals.set(e.user, (totals.get(e.user) ?? 0) + e.amount)
    return { out: [...totals].map(([user, total]) => ({ user, total })) }
  },
}

function sums(events: readonly Event[], field: 'item', of: (e: Event) => number) {
  const windows = new Map<string, { item: string; total: number; start: number }>()
  for (const e of events) {
    const start = Math.floor(e.at / 10_000) * 10_000
    const id = `${start}/${e[field]}`
    const window = windows.get(id) ?? { item: e[field], total: 0, start }
    window.total += of(e)
    windows.set(id, window)
  }
  return [...windows.values()]
}
