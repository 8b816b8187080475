import type { Injected } from './faults.ts'

/** Each fault that happens has a line in the trace, which says where. */
export function faultLine(fault: Injected['fault'], where: string): string {
  return where === '' ? `! ${fault}` : `! ${fault}: ${where}`
}

const FAULT = /^ *[\d.]+ ! /
/** Behind the last record the controller goes on looking whether there is a checkpoint to take. */
const LOOKS = /^ *[\d.]+ (! |checkpoint#|cut |materialise#|execution: )/
const BEFORE = 2
const BEHIND = 6
const FAULTS_MAX = 6

/** The lines of a trace that tell most: those around its first faults, and the last ones until all records are through. What is left out between them is `…`. */
export function excerpt(trace: readonly string[], last: number): string[] {
  const end = trace.findLastIndex(line => !LOOKS.test(line)) + 1
  const faults = trace.flatMap((line, i) => (FAULT.test(line) ? [i] : [])).slice(0, FAULTS_MAX)
  const isShown = (i: number) => (i >= end - last && i < end) || faults.some(at => i >= at - BEFORE && i <= at + BEHIND)
  const shown = trace.flatMap((_, i) => (isShown(i) ? [i] : []))
  return shown.flatMap((i, n) => (n > 0 && shown[n - 1] !== i - 1 ? ['…', trace[i]!] : [trace[i]!]))
}
