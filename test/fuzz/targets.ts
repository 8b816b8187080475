import type { Target } from './target.ts'
import { commandLines } from './targets/arguments.ts'
import { frames } from './targets/frames.ts'
import { manifests } from './targets/manifests.ts'
import { plans } from './targets/plans.ts'
import { records } from './targets/records.ts'
import { segments } from './targets/segments.ts'

export const TARGETS: readonly Target[] = [frames, segments, manifests, records, plans, commandLines]
