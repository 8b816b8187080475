/** Blobs of a subtask's state changes start with this; the version follows. */
export function chunksOf(log: string): string {
  return `chunks/${log}/`
}

/** Blobs of what was on its way to a subtask start with this; the checkpoint follows. */
export function channelsOf(log: string): string {
  return `channels/${log}/`
}

/** Blobs of what a sink has staged start with this. */
export function sinkStagingOf(run: string, operatorId: string): string {
  return `sinks/${run}/${operatorId}/`
}

/** Blobs of a subtask's segments start with this; the checkpoint follows. */
export function segmentsOf(log: string): string {
  return `segments/${log}/`
}
