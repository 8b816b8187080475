import { canTake, edgesOf } from '../graph/edge-heirs.ts'
import type { Shape } from '../graph/shape.ts'
import type { Blobs } from '../ports.ts'
import { ENTRY_RECORD, FrameWriter, readFrame } from '../protocol/frame.ts'
import { encodeChannelState, type KeptFrame, readChannelState } from './channel-state.ts'
import type { SubtaskSnapshot } from './manifest.ts'
import { StateMismatchError } from './run-meta.ts'

/** Where what was on its way along an edge of the former plan goes in the new one. */
interface Route {
  /** Edges with the same records, by number, and the stage that each leads to. */
  readonly edges: readonly { readonly edge: number; readonly stage: number }[]
  /** An operator that it was to go to, and that is reached by none of them. */
  readonly lost: string | undefined
  readonly from: string
}

/** By number of the former plan's edge. `isDropped`: an operator whose state, and so its input, is given up. */
export function routesOf(former: Shape, shape: Shape, isDropped: (operator: string) => boolean): Route[] {
  const now = edgesOf(shape)
  return edgesOf(former).map(old => {
    const same = now.filter(edge => canTake(edge, old))
    const reached = new Set(same.flatMap(({ targets }) => targets.map(String)))
    const lost = old.targets.find(target => !reached.has(String(target)) && !isDropped(target[0]))
    return { edges: same.map(({ id, toStage }) => ({ edge: id, stage: toStage })), lost: lost?.[0], from: old.from }
  })
}

/**
 * What was on its way to a subtask, as input of the new plan's stages: by stage, a blob of channel state. The records only: producers are others now, and each tells its watermark with the first barrier.
 * @throws StateMismatchError a record's edge is gone
 */
export async function carriedFrames(
  { channelState }: SubtaskSnapshot,
  routes: readonly Route[],
  from: Pick<Blobs, 'get'>,
): Promise<Map<number, Uint8Array>> {
  const kept = new Map<number, KeptFrame[]>()
  for await (const frame of readChannelState(from, channelState)) {
    for (const [stage, data] of rewritten(frame, routes)) kept.set(stage, [...(kept.get(stage) ?? []), data])
  }
  return new Map(Array.from(kept, ([stage, frames]) => [stage, encodeChannelState(frames)]))
}

function rewritten({ data, from, to }: KeptFrame, routes: readonly Route[]): Map<number, KeptFrame> {
  const frame = readFrame(data)
  const cursor = frame.reader()
  if (from > 0) cursor.skip(from)
  const writers = new Map<number, FrameWriter>()
  for (let i = from, type = cursor.next(); i < to && type >= 0; i++, type = cursor.next()) {
    if (type !== ENTRY_RECORD) continue
    const { edges, lost, from: producer } = routes[cursor.edge]!
    if (lost !== undefined)
      throw new StateMismatchError(
        `records were on their way from ${producer} to ${lost} when the checkpoint was taken, and no such way is there any more: run the code that took it once more, and stop it (Ctrl-C), so that they arrive`,
      )
    for (const { edge, stage } of edges) {
      const writer = writers.get(stage) ?? new FrameWriter()
      writers.set(stage, writer)
      writer.record(edge, cursor.value, cursor.timestamp, cursor.key, cursor.kind)
    }
  }
  return new Map(
    Array.from(writers, ([stage, writer]) => {
      const entries = writer.count
      return [stage, { data: writer.finish(frame.header), from: 0, to: entries }]
    }),
  )
}
