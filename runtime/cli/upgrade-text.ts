import type { Fate, Upgrade } from '../graph/upgrade.ts'
import { columns } from './format.ts'

const WORDS: Readonly<Record<Fate, string>> = {
  kept: 'keeps',
  migrated: 'migrates',
  empty: 'starts empty',
  dropped: 'drops',
  refused: 'refuses',
}

/** For people: a line for each part of the state, what is refused or dropped first. */
export function upgradeText({ fates }: Upgrade): string {
  const order: readonly Fate[] = ['refused', 'dropped', 'empty', 'migrated', 'kept']
  const sorted = [...fates].sort((a, b) => order.indexOf(a.fate) - order.indexOf(b.fate))
  return `${columns(sorted.map(f => [WORDS[f.fate], f.operator, f.state, f.reason ?? '']))}\n`
}
