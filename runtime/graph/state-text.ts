import { type Duration, formatDuration, parseDuration } from '../api/duration.ts'
import type { Panes, StateDeclaration } from '../state/declaration.ts'

const FORM = /^(.*):(value|map)(:processing)?(?: of (\S+) every (\S+) from (\S+) by (event|processing) time)?$/

/**
 * What of a declaration has to stay the same for its entries to mean the same: an expiry by one clock means nothing by the other, and the pane of a window is
 * another time in a window of another size.
 *
 * @example
 * stateText({ name: 'seen', primitive: 'value', ttl: { ms: 60_000, time: 'processing', refresh: 'write' } }) // 'seen:value:processing'
 */
export function stateText({ name, primitive, ttl, panes }: StateDeclaration): string {
  return `${name}:${primitive}${ttl?.time === 'processing' ? ':processing' : ''}${panes === undefined ? '' : panesText(panes)}`
}

function panesText({ size, slide, offset, time }: Panes): string {
  return ` of ${formatDuration(size)} every ${formatDuration(slide)} from ${formatDuration(offset)} by ${time} time`
}

export function isStateText(text: string): boolean {
  return FORM.test(text)
}

/** A declaration that has the given text. How long its entries live is not in it. */
export function stateOfText(text: string): StateDeclaration {
  const [, name, primitive, processing, size, slide, offset, time] = FORM.exec(text)!
  const ms = (duration: string | undefined) => parseDuration(duration as Duration)
  return {
    name: name!,
    primitive: primitive as StateDeclaration['primitive'],
    ttl: { ms: 0, time: processing === undefined ? 'event' : 'processing', refresh: 'write' },
    ...(size !== undefined && { panes: { size: ms(size), slide: ms(slide), offset: ms(offset), time: time as Panes['time'] } }),
  }
}
