/** What one operation of one service has been asked for so far: enough to compute the bill. */
export interface Meter {
  /** Requests sent, retries among them. */
  calls: number
  retries: number
  throttled: number
  /** Payload, in either direction. */
  bytes: number
  /** DynamoDB read units; 0 elsewhere. */
  readUnits: number
  /** DynamoDB write units; Kinesis payload units of 25 KB; 0 elsewhere. */
  writeUnits: number
}

export interface Meters {
  /** `operation`: as the SDK calls it, behind its service: `dynamodb.PutItem`. */
  of(operation: string): Meter
  /** By operation and figure, what is not 0: `dynamodb.PutItem.writeUnits`. */
  stats(): Record<string, number>
}

export function meters(): Meters {
  const known = new Map<string, Meter>()
  return {
    of(operation) {
      let meter = known.get(operation)
      if (meter === undefined) {
        meter = { calls: 0, retries: 0, throttled: 0, bytes: 0, readUnits: 0, writeUnits: 0 }
        known.set(operation, meter)
      }
      return meter
    },
    stats() {
      const flat: Record<string, number> = {}
      for (const [operation, meter] of known) {
        for (const [figure, value] of Object.entries(meter)) if (value !== 0) flat[`${operation}.${figure}`] = value
      }
      return flat
    },
  }
}
