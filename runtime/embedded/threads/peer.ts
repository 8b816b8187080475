import { receiveError, type SentError, sendable, sendError } from './sendable.ts'

/** One end of a line between two threads: a Worker, or its parentPort. */
interface Line {
  postMessage(message: unknown): void
  on(event: 'message', listener: (message: any) => void): unknown
}

type Message =
  | { readonly call: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly answer: number; readonly value: unknown }
  | { readonly answer: number; readonly error: SentError }

/** Not answered. */
const TOLD = 0

export type Handlers = Readonly<Record<string, (...args: any[]) => unknown>>

export interface Peer {
  /** Calls a handler of the other side. Rejects with what it threw, or with what `end` was given. */
  call(method: string, ...args: unknown[]): Promise<any>
  /** The same without an answer; what the handler throws goes to its own `failed`. */
  tell(method: string, ...args: unknown[]): void
  /** The other side answers no more: calls that wait fail, and later ones too. */
  end(error: Error): void
}

/** Calls between two threads, in both directions; those of one side begin in the order in which they were made. */
export function peer(line: Line, handlers: Handlers, failed: (error: unknown) => void): Peer {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let calls = TOLD
  let ended: Error | undefined

  async function answer({ call, method, args }: Extract<Message, { call: number }>): Promise<void> {
    try {
      const value = await handlers[method]!(...args)
      if (call !== TOLD) line.postMessage({ answer: call, value: sendable(value) })
    } catch (error) {
      if (call === TOLD) failed(error)
      else line.postMessage({ answer: call, error: sendError(error) })
    }
  }

  line.on('message', (message: Message) => {
    if ('call' in message) return void answer(message)
    const call = waiting.get(message.answer)
    waiting.delete(message.answer)
    if ('error' in message) call?.reject(receiveError(message.error))
    else call?.resolve(message.value)
  })
  return {
    call(method, ...args) {
      if (ended !== undefined) return Promise.reject(ended)
      const call = ++calls
      return new Promise((resolve, reject) => {
        waiting.set(call, { resolve, reject })
        line.postMessage({ call, method, args: sendable(args) })
      })
    },
    tell(method, ...args) {
      if (ended === undefined) line.postMessage({ call: TOLD, method, args: sendable(args) })
    },
    end(error) {
      ended ??= error
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    },
  }
}
