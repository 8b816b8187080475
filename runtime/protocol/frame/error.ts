/** What went wrong with a frame; see {@link FrameError}. */
export type FrameErrorCode = 'magic' | 'version' | 'checksum' | 'truncated' | 'corrupt' | 'unserialisable'

/**
 * A frame that cannot be written or read. It is terminal: the same bytes, or the same value, fail again the same way.
 *
 * Reading: `magic` (not a frame), `version` (written by a newer Millrace), `truncated`, `checksum`, `corrupt` (a right
 * checksum over a body that makes no sense). Writing: `unserialisable` (the message names the field, e.g. `$.user.socket`).
 */
export class FrameError extends Error {
  readonly code: FrameErrorCode
  /** `unserialisable`: which part of the value, as a path from `$`, and what it is ("a function"). */
  readonly part: { readonly path: string; readonly kind: string } | undefined

  constructor(code: FrameErrorCode, message: string, options: ErrorOptions & { readonly part?: FrameError['part'] } = {}) {
    super(message, options)
    this.part = options.part
    this.name = 'FrameError'
    this.code = code
  }
}
