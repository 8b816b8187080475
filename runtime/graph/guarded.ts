/*
 * Strings of the user's may hold any UTF-16 code units. Stores take Unicode only, so what would not survive there is escaped: a NUL as U+0000 `n`, half a surrogate pair as
 * U+0000 `u` and its hexadecimal number.
 */

export function guarded(text: string): string {
  if (!text.includes('\u0000') && text.isWellFormed()) return text
  return text.replace(/[\0\p{Surrogate}]/gu, c => (c === '\u0000' ? '\u0000n' : `\u0000u${c.charCodeAt(0).toString(16)}`))
}

/** Takes back what `guarded` did. */
export function unguarded(text: string): string {
  if (!text.includes('\u0000')) return text
  return text.replace(/\0(?:n|u([0-9a-f]{4}))/g, (_, code?: string) =>
    code === undefined ? '\u0000' : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
