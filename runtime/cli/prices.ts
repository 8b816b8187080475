/** List prices of AWS, dollars: what a backfill is estimated by (runtime/cli/stack/backfill), and the bill of a pipeline (bench/bill). No function has it in its code. */
export const PRICES = {
  collected: '2026-11-21',
  region: 'us-east-1',
  sources: {
    kinesis: 'trek10, caylent (pricing page as they quote it)',
    dynamodb: 'airbyte, jusdb: on demand, since 2024-11-01; storage from memory',
    s3: 'c3x, awsi',
    lambda: 'cloudchipr and others: arm64',
    stepFunctions: "AWS's pricing page, Standard",
    scheduler: 'from memory',
    cloudWatch: 'cloudburn (February 2026), signoz; alarms from memory',
    managedFlink: "the example on AWS's pricing page",
  },
  kinesis: { shardHour: 0.015, putUnit: 0.000000014 },
  dynamodb: { writeUnit: 0.000000625, readUnit: 0.000000125 },
  s3: { put: 0.000005, get: 0.0000004 },
  lambda: { request: 0.0000002, gbSecond: 0.0000133334 },
  stepFunctions: { transition: 0.000025 },
  scheduler: { call: 0.000001 },
  cloudWatch: { logGb: 0.5, metricMonth: 0.3, alarmMonth: 0.1 },
  managedFlink: { kpuHour: 0.11, storageGbMonth: 0.1, storageGbPerKpu: 50 },
} as const
