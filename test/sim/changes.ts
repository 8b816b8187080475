import { registerHooks } from 'node:module'

/** One place of the runtime's source that is to read otherwise in this process. */
export interface Change {
  /** From the repository's root. */
  readonly file: string
  /** Exactly as it stands there, once. */
  readonly text: string
  readonly by: string
}

export const ROOT = new URL('../../', import.meta.url)

/**
 * Modules that are imported from now on are as `changes` say; so the runtime needs no switches of its own for this. What it gives tells which changes were not made, since nobody
 * imported their file.
 * @throws when a text is not there, or more than once: then the table is out of date
 */
export function changeSources(changes: readonly Change[]): () => readonly Change[] {
  const byUrl = new Map<string, Change[]>()
  for (const change of changes) {
    const url = new URL(change.file, ROOT).href
    byUrl.set(url, [...(byUrl.get(url) ?? []), change])
  }
  const open = new Set(changes)
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      const own = byUrl.get(url)
      if (own === undefined) return loaded
      for (const change of own) open.delete(change)
      return { ...loaded, source: own.reduce(changed, String(Buffer.from(loaded.source as Uint8Array))) }
    },
  })
  return () => [...open]
}

export function changed(source: string, { file, text, by }: Change): string {
  const parts = source.split(text)
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once, what is to be changed there: ${text}`)
  return parts.join(by)
}
