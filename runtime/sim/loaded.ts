let loading: Promise<unknown> | undefined

/**
 * What functions load when they need it, loaded before: in a simulation nothing waits for a disk, and the first run of a process would be another one than those behind it, which find all of it there.
 */
export function loadAll(): Promise<unknown> {
  loading ??= Promise.all([
    import('../aws/functions/learn-layouts.ts'),
    import('../aws/functions/rescale-targets.ts'),
    import('../aws/functions/restore-run.ts'),
    import('../aws/functions/take-over.ts'),
    import('../checkpoint/copy-broadcast.ts'),
    import('../checkpoint/kept-changes.ts'),
    import('../checkpoint/segment-base.ts'),
    import('../checkpoint/take-over.ts'),
    import('../connectors/json-buffer.ts'),
    import('../snapshot/segment-index.ts'),
  ])
  return loading
}
