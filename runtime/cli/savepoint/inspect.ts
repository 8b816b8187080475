import type { Inspected, InspectedOperator, InspectedStage, TimerSize } from '../../savepoint/inspect.ts'
import type { Command } from '../command.ts'
import { asUsage } from '../error.ts'
import { bytes, columns, count, counted, watermark } from '../format.ts'
import { withSavepoint } from './place.ts'

export const savepointInspect: Command = {
  name: 'savepoint inspect',
  summary: 'Show what is in a savepoint',
  description: `Shows what a savepoint is of, and by stage where its sources stand, its watermark, and what its operators keep: keys, entries and bytes of each state, and timers. Reads all of it
once; of what is damaged the name is told, with exit code 2 (millrace savepoint verify tells all of it).`,
  positionals: [{ name: 'PATH', help: 'the savepoint: its directory, or s3://BUCKET/KEY' }],
  flags: { json: { help: 'Print it as JSON' } },
  examples: ['millrace savepoint inspect before-the-sale', 'millrace savepoint inspect s3://my-savepoints/shop-1 --json'],
  async run(args) {
    const path = args.positionals[0]!
    const { inspectSavepoint } = await import('../../savepoint/inspect.ts')
    const found = await asUsage(() => withSavepoint(path, ({ blobs, manifest }) => inspectSavepoint(blobs, manifest)))
    process.stdout.write(args.has('json') ? `${JSON.stringify({ path, ...found }, asText, 2)}\n` : textOf(path, found))
    return 0
  },
}

/** Infinity, which JSON has no word for. */
function asText(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

function textOf(path: string, found: Inspected): string {
  const { pipeline, checkpoint, createdAt, takenAt, takenFrom, keyGroups, stages } = found
  const from = `${takenFrom.kind} ${takenFrom.name}`
  const head = [
    `${path}: checkpoint ${checkpoint} of ${pipeline}, ${bytes(found.bytes)}`,
    `taken ${new Date(takenAt).toISOString()} from ${from}; the checkpoint is of ${new Date(createdAt).toISOString()}; ${counted(keyGroups, 'key group')}`,
  ]
  return `${[...head, ...stages.map(stageText)].join('\n')}\n`
}

function stageText(stage: InspectedStage): string {
  const { subtasks, recordsIn, positions, channelBytes, operators } = stage
  const onTheWay = channelBytes === 0 ? '' : `, ${bytes(channelBytes)} on the way to it`
  const lines = [
    `\n${stage.stage}: ${counted(subtasks, 'subtask')}, ${counted(recordsIn, 'record')} so far, watermark ${watermark(stage.watermark)}${onTheWay}`,
  ]
  for (const { source, split, position } of positions)
    lines.push(`  ${source} ${split}: ${position === undefined ? 'not read yet' : fields(position)}`)
  const states = operators.flatMap(statesText)
  if (states.length > 0) lines.push(indented(columns([['operator', 'state', 'keys', 'entries', 'size', ''], ...states])))
  return lines.join('\n')
}

export function fields(position: Readonly<Record<string, unknown>>): string {
  return Object.entries(position)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function statesText({ operator, states, timers }: InspectedOperator): string[][] {
  const rows = states.map(s => [
    operator,
    s.state,
    count(s.keys),
    count(s.entries),
    bytes(s.bytes),
    s.expiring === 0 ? '' : `${count(s.expiring)} with a time to live`,
  ])
  for (const [domain, size] of Object.entries(timers) as [string, TimerSize][])
    if (size.count > 0)
      rows.push([operator, `${domain} timers`, '', count(size.count), '', `the next at ${watermark(size.next!)}`])
  return rows
}

function indented(text: string): string {
  return text
    .split('\n')
    .map(line => `  ${line}`)
    .join('\n')
}
