// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts are parts of source files
import { at, type Mutant } from './mutant.ts'
import { RESTARTS } from './restart-mutants.ts'
import { SHARDS } from './shard-mutants.ts'
import { STAGE_SHARDS } from './stage-shard-mutants.ts'

const attempt = at('runtime/stage/attempt.ts')
const subtask = at('runtime/stage/subtask.ts')
const working = at('runtime/stage/working.ts')
const live = at('runtime/stage/live.ts')
const log = at('runtime/protocol/log.ts')
const decisions = at('runtime/protocol/decisions.ts')
const classify = at('runtime/stage/read-committed.ts')
const output = at('runtime/stage/output.ts')
const stage = at('runtime/aws/functions/stage.ts')
const frames = at('runtime/aws/functions/deliver-frames.ts')
const parts = at('runtime/aws/functions/deliver-parts.ts')
const checkpoint = at('runtime/aws/functions/checkpoint.ts')
const materialiser = at('runtime/aws/functions/materialise.ts')
const cut = at('runtime/checkpoint/cut.ts')
const steps = at('runtime/checkpoint/steps.ts')
const retention = at('runtime/checkpoint/retention.ts')
const materialise = at('runtime/checkpoint/materialise.ts')
const restore = at('runtime/checkpoint/restore.ts')
const kept = at('runtime/checkpoint/kept-changes.ts')
const base = at('runtime/state/base.ts')

// Each of these, and A5, sees most of what the others see: one that is left out alone changes nothing but how soon it is seen. So they are left out in pairs.
const CHAIN = ['if (item.prev !== head.slotAttempt) {', 'if (item.prev === undefined) {'] as const
const READ_FLOOR = [
  'return base.version < floor && base.version !== 0 ? undefined : floor > head.version ? undefined : { head, commits }',
  'return floor < 0 ? undefined : { head, commits }',
] as const

const BLIND = live('a cold start does not look whether a checkpoint came in between', 'if (floor > marker)', 'if (floor < 0)')

/** Each rule of protocol.md left out, where there is code that keeps it. */
const RULES: readonly Mutant[] = [
  log(
    'A1: who lost the race for a slot goes on as if it had won',
    'return found !== undefined && decodeItem(found).attempt === item.attempt',
    'return found !== undefined',
  ),
  attempt('A2: a commit does not say what was sent last', 'sent: outputs.flatMap(o => [...o.sent()])', 'sent: []'),
  attempt(
    'A2: a commit does not say that timers are still firing',
    '...chain.firing(),',
    'operatorWatermarks: undefined, firing: [],',
  ),
  attempt(
    'A3: one attempt id for all executions of a version',
    'this.id = ports.random.id()',
    "this.id = topology.log(at.stage.index, shard) + '-' + (live.head.version + 1)",
  ),
  attempt(
    'A4: the commit comes before the frames',
    'await allSettled([this.send(frames), this.stashChannelState()])',
    'await this.stashChannelState()',
    [
      '    const now = this.ports.clock.now()\n    live.lastCommit',
      '    await this.send(frames)\n    const now = this.ports.clock.now()\n    live.lastCommit',
    ],
  ),
  {
    name: 'A5, C2 and C7: the head is the newest item, whatever is missing before it, below it, and behind it',
    changes: [
      ...log('', 'if (version !== head.version + 1) return end(log, name, base, head, commits)', '', CHAIN, READ_FLOOR).changes,
      ...BLIND.changes,
    ],
  },
  log(
    'A6: a put without an answer counts as done',
    'if (found === undefined) {\n        if (n >= tries) throw error\n        continue\n      }\n      return decodeItem(found).attempt === item.attempt',
    'return true',
  ),
  stage(
    'A7: a batch is told to be through when only a part of it is committed',
    'return failuresAfter(covered, delivery)',
    'return { batchItemFailures: [] }',
  ),
  classify('B(1): frames of another run are taken', "if (frame.run !== topology.run) return 'other-run'", ''),
  classify('B(2): what lies before the position is read again', 'records.filter(r => r.seq > after)', 'records'),
  classify(
    'B(3): duplicates are taken',
    "if (frame.version < version || (frame.version === version && frame.index <= index)) return 'duplicate'",
    '',
  ),
  decisions(
    'B(4): a key that was left unprocessed counts as lost',
    "if (answer !== undefined && answer !== 'unknown') this.remember(asked[i]!.log, asked[i]!.version, answer)",
    "if (answer === 'unknown') this.slotsOf(asked[i]!.log).set(asked[i]!.version, '')\n      else if (answer !== undefined) this.remember(asked[i]!.log, asked[i]!.version, answer)",
  ),
  decisions(
    'B(4): absence in a read that lags is believed',
    "if (answer !== undefined && answer !== 'unknown') this.remember(asked[i]!.log, asked[i]!.version, answer)",
    "if (answer === undefined) this.slotsOf(asked[i]!.log).set(asked[i]!.version, '')\n      else if (answer !== 'unknown') this.remember(asked[i]!.log, asked[i]!.version, answer)",
  ),
  subtask(
    'B(5): a delivery goes on behind an undecided frame',
    'covered = live.working.position.seq\n          break',
    'continue',
  ),
  classify(
    'B(6): frames of attempts that lost are taken',
    "if (decision !== 'won') return decision",
    "if (decision === 'undecided') return decision",
  ),
  subtask('B(7): a gap is called one before the own log is read again', 'if (behind) throw', 'if (behind && next < 0) throw'),
  classify(
    'B1: a frame is taken whatever its predecessor',
    "frame.predVersion === version && frame.predIndex === index ? 'accept' : 'gap'",
    "'accept'",
  ),
  classify(
    'B1: the predecessor is compared by version alone',
    "frame.predVersion === version && frame.predIndex === index ? 'accept' : 'gap'",
    "frame.predVersion === version || frame.predVersion === frame.version ? 'accept' : 'gap'",
  ),
  output(
    'B2: barriers travel only where there is data',
    'for (const c of this.listeners) c.writer.barrier',
    'for (const c of this.listeners) if (c.writer.count > 0) c.writer.barrier',
  ),
  frames('B3: nobody helps', 'clock.now() - arrivedAt > bound', 'clock.now() - arrivedAt > bound * 1e9'),
  frames(
    'B3: who helps does so at once, each time',
    'const bound = ((settings.timeoutMs ?? budgetMs) + SKEW_MS) * 2 ** task.abortsInARow',
    'const bound = -1e9',
  ),
  retention('C1: the log is deleted without a floor', 'await ports.log.raiseFloor(part.log, floor)', ''),
  attempt(
    'C2: who has put does not look at the floor',
    'if (this.version <= (await this.ports.log.floor(log)))',
    'if ((await this.ports.log.floor(log)) < 0)',
  ),
  log('C2 and A5: who has read looks at neither the floor nor for what is missing', ...READ_FLOOR, [
    'if (version !== head.version + 1) return end(log, name, base, head, commits)',
    '',
  ]),
  retention(
    'C3: the floor goes beyond what consumers have taken',
    'const floor = Math.min(part.version, await readMarker(ports.store, part.log))',
    'const floor = Math.min(part.version + 1, (await readMarker(ports.store, part.log)) + 1)',
  ),
  at('runtime/sim/log.ts')(
    'C4: slots go by their age',
    'const slot = slots.get(version)',
    'const slot = slots.get(version)?.writtenAt! < scheduler.now - 45_000 ? undefined : slots.get(version)',
  ),
  retention('C5: chunks go before their slot is decided', 'version => version < floor', 'version => version < floor + 3'),
  at('runtime/sim/mapping.ts')(
    'C6: a mapping gives up what fails',
    "if ('error' in outcome) {",
    "if ('error' in outcome) {\n      through += records.length",
  ),
  cut(
    'D1: the cut is where the log stands, not where the barrier was',
    'commitAt(log, name, alignment.version, `cut ${checkpoint}`)',
    'commitAt(log, name, head.lastCommit[0], `cut ${checkpoint}`)',
    ['const { version, channelState } = alignment', 'const { channelState } = alignment\n    const [version] = head.lastCommit'],
  ),
  attempt(
    'D1: records of a commit may follow its barrier',
    '      if (checkpoint !== undefined) output.sendBarrier(checkpoint)\n',
    '',
    [
      'for (const output of live.outputs) output.begin(this.tag)',
      'for (const output of live.outputs) output.begin(this.tag)\n    if (live.working.alignment?.version === live.head.version && live.head.version > 0) for (const output of live.outputs) output.sendBarrier(live.working.alignment.checkpoint)',
    ],
  ),
  attempt(
    'D2: a barrier goes without the watermark',
    'output.sendWatermarks(this.idle || occasion !== undefined)',
    'output.sendWatermarks(this.idle)',
  ),
  attempt(
    'D2: the end of an alignment goes without the watermark',
    'output.sendWatermarks(this.idle || occasion !== undefined)',
    "output.sendWatermarks(this.idle || typeof occasion === 'object')",
  ),
  subtask('D3: a source takes a cut that it had', 'if (checkpoint <= live.working.lastCut) return false', ''),
  working('D3: a barrier that comes again is a cut', "return checkpoint > this.lastCut ? 'cut' : 'ignored'", "return 'cut'"),
  working(
    'D3: an alignment is through with its first barrier',
    "return pending.length === 0 ? 'aligned' : 'counted'",
    "this.alignment = { ...open, pending: [] }\n      return 'aligned'",
  ),
  subtask(
    'D4: what comes from pending producers is not kept',
    'const keep = working.pendingFrom(header.producer)',
    'const keep = false',
  ),
  cut('D5: a part counts before all its barriers are in', ' && alignment.pending.length === 0', ''),
  at('runtime/checkpoint/decision.ts')(
    'D6: who decides does not look whether somebody else has',
    'if (decided !== undefined) return decided',
    'if (decided !== undefined) return decision',
  ),
  steps(
    'D6: the manifest is written behind the decision',
    '  await ports.blobs.putIfAbsent(manifestKey(topology.run, checkpoint), manifest)\n',
    '',
    [
      "  if (decision.outcome === 'complete') {\n",
      "  if (decision.outcome === 'complete') {\n    await ports.blobs.putIfAbsent(manifestKey(topology.run, checkpoint), manifest)\n",
    ],
  ),
  steps(
    'D6: sinks commit what a checkpoint has staged that failed',
    "  if (decision.outcome === 'complete') {\n    await commitSinks",
    '  if (decision !== undefined) {\n    await commitSinks',
  ),
  checkpoint(
    'D7: output waits for a next checkpoint when its own died before the sinks',
    '    await settleSinks(topology, last, ports)\n',
    '',
  ),
  at('runtime/connectors/staged-chain.ts')(
    'D7: what attempts that lost have staged is shown too',
    'return chain.reverse()',
    'return keys.filter(key => versionOf(nameOf(key)) <= versionOf(to) && versionOf(nameOf(key)) > versionOf(from)).map(key => ({ name: nameOf(key), key }))',
  ),
  subtask(
    'D8: what was on its way is not injected',
    'if (live.working.injection !== undefined)',
    'if (live.working.injection === null)',
  ),
  subtask('D8: injection begins anew after each commit', '++passed <= taken || cursor', '++passed < 0 || cursor'),
  at('runtime/sim/store.ts')('E1: base items are written over newer ones', 'known === undefined || known.v < item.v', 'true'),
  base('E2: values of the future are believed', 'if (v > this.version())', 'if (v < 0)'),
  base('E2: timers of the future are believed', 'if (item.v > version)', 'if (item.v < 0)'),
  materialise(
    'E3: the marker goes ahead of what it says',
    'const space = spaceOf(',
    'await writeMarker(ports.store, log, cut)\n  const space = spaceOf(',
  ),
  materialise(
    'E3: the marker goes past a piece of a fold that is not written yet',
    'await ports.store.upsert(folded.map(f => f.item))',
    'await writeMarker(ports.store, log, Math.max(...folded.map(f => f.item.v)))\n      await ports.store.upsert(folded.map(f => f.item))',
  ),
  kept(
    'E2: a cold start replays a checkpoint of its future',
    'if (part.version > head) return undefined',
    'if (part.version < 0) return undefined',
  ),
  kept(
    'E3: a checkpoint that has folded more than the base is replayed over it',
    'if ((part.folded ?? part.version) > marker) return undefined',
    'if (marker < 0) return undefined',
  ),
  materialise(
    'E3: a fold runs from the cut before, whether that was folded or not',
    'const { from, alone } = await claimFold(ports.store, log, cut, exclusive)',
    'const claimed = await claimFold(ports.store, log, cut, exclusive)\n  const [from, alone] = [Math.max(claimed.from, snapshot?.since ?? 0, cut - 3), claimed.alone]',
  ),
  materialiser('E4: tombstones go at once', 'const SWEEP_AFTER_MS = 30 * 60_000', 'const SWEEP_AFTER_MS = 0'),
  retention(
    'E5: the log goes though it is not materialised',
    'const floor = Math.min(part.version, await readMarker(ports.store, part.log))',
    'const floor = part.version',
    ['const floor = await expireLog(part, ports)', 'const floor = await expireLog(part, ports)'],
  ),
]

/** The same rules where state lies in segments. */
const SEGMENTS: readonly Mutant[] = [
  at('runtime/checkpoint/fold-to-segments.ts')(
    'E3 (segments): the marker goes ahead of what it says',
    'const before = await readBase(ports.store, log)',
    'const before = await readBase(ports.store, log)\n  await writeBase(ports.store, log, { ...before, version: cut })',
  ),
  at('runtime/checkpoint/fold-to-segments.ts')(
    'E3 (segments): a fold leaves out the first commit behind the marker',
    'loggedChunks(ports, log, from, cut)',
    'loggedChunks(ports, log, Math.min(from + 1, cut), cut)',
  ),
  retention('E5 (segments): what only the marker names goes', 'stored.named.union(ofBase)', 'stored.named'),
  at('runtime/snapshot/runs.ts')(
    'E4 (segments): merges drop deletions though there is something older',
    'if (!whole || (item.value !== undefined && !isExpired(item)))',
    'if (item.value !== undefined)',
  ),
  at('runtime/snapshot/run-reader.ts')(
    'segments: the oldest run is asked first',
    'for (let r = this.runs.length - 1; r >= 0 && left.length > 0; r--) {',
    'for (let r = 0; r < this.runs.length && left.length > 0; r++) {',
  ),
  at('runtime/snapshot/segment.ts')(
    'segments: filters know no partitions',
    'this.filter.add(bytes, Buffer.byteLength(this.partition))',
    'this.filter.add(bytes)',
  ),
]

/** What else could go wrong. */
const OTHERS: readonly Mutant[] = [
  classify('deduplication is off by one', 'frame.index <= index', 'frame.index < index'),
  subtask(
    'the position of a commit inside a frame is its end',
    'live.working.position = inside(frame, seq, cursor)\n    if (kept',
    'live.working.position = { seq: frame.record.seq, offset: 0 }\n    if (kept',
  ),
  subtask(
    'a commit inside a frame forgets how far it was',
    'live.working.position = inside(frame, seq, cursor)\n    if (kept',
    'live.working.position = { ...inside(frame, seq, cursor), offset: 0 }\n    if (kept',
  ),
  working('the watermark is not restored', 'this.watermark = fields.watermark', 'this.watermark = Number.NEGATIVE_INFINITY'),
  working(
    'the watermarks of producers are not restored',
    'this.watermarks = new Map(fields.watermarks)',
    'this.watermarks = new Map()',
  ),
  at('runtime/checkpoint/folded-items.ts')(
    'timers are lost at a cut',
    'value: written ? pack([at, key, tag]) : undefined }',
    'value: undefined }',
  ),
  live('timers behind the marker are not loaded', 'await loadTimers(', 'if (group < 0) await loadTimers('),
  attempt(
    'of channel state only the last part is named',
    'channelState: [...alignment.channelState, blob]',
    'channelState: [blob]',
  ),
  materialiser(
    'a fold goes past its cut',
    'const materialised = await materialisePart(topology, start, part, ports, options)',
    'const materialised = await materialisePart(topology, start, { ...part, version: part.version + 1 }, ports, options)',
  ),
  steps(
    'a manifest is overwritten',
    'await ports.blobs.putIfAbsent(manifestKey(topology.run, checkpoint), manifest)',
    'await ports.blobs.put(manifestKey(topology.run, checkpoint), manifest)',
  ),
  at('runtime/aws/functions/poison.ts')(
    'a dead letter is kept once for each try',
    '${path}.json',
    '${path}-${ports.clock.now()}.json',
  ),
  at('runtime/aws/functions/poison.ts')('a record is given up when it has failed once', 'const TRIES = 3', 'const TRIES = 1'),
  attempt(
    'a put that was refused counts as sent',
    'await this.ports.streams.put(this.topology.stream(f.stage), f.shard, f.data)',
    "await this.ports.streams.put(this.topology.stream(f.stage), f.shard, f.data).catch(() => '')",
  ),
  live('a cold start forgets what was sent last', 'framesTo(consumer, sent),', 'framesTo(-1, sent),'),
  live('a cold start forgets the state of its sinks', 'sinkStates: new Map(head.fields.sinks)', 'sinkStates: new Map()'),
  subtask(
    'an environment goes on with the state of an attempt that failed',
    '      const live = this.live\n      this.live = undefined\n',
    '      const live = undefined as Live | undefined\n',
  ),
  live(
    'a cold start leaves out what was committed behind the marker',
    'for await (const { version, chunk } of chunks) apply(chunk, version)',
    'for await (const { version, chunk } of chunks) if (version < 0) apply(chunk, version)',
  ),
  BLIND,
  frames(
    'a poison record of a frame is skipped without its letter',
    "      await giveUp(environment, `stage '${stage}'`",
    "      if (shard < 0) await giveUp(environment, `stage '${stage}'`",
  ),
  parts(
    'a record that fails takes its neighbours along',
    'rejected.set(only.id, reason)',
    'for (const { id } of [...taken, only]) rejected.set(id, reason)',
    ['if (another !== undefined) {', 'if (another !== undefined && taken.length > 2) {'],
  ),
  retention('a hold keeps nothing for who copies a savepoint', '(kept < KEPT || n >= held)', 'kept < KEPT'),
  at('runtime/checkpoint/hold.ts')('a hold ends while somebody copies', 'HELD_MS = 24 * 3_600_000', 'HELD_MS = 60_000'),
  retention('blobs go though a kept checkpoint names them', '&& !named.has(blob)', ''),
  retention(
    'chunks go though their slots are not materialised',
    'version => version < floor',
    'version => version <= part.version',
  ),
  restore('a restored run takes frames of its own for old ones', '    accepted: [],\n', ''),
  restore('a restored run says that frames were sent which were not', '    sent: [],\n', ''),
  output(
    'the watermark goes behind the record that it is in force for',
    '    this.catchUp(channel, false)\n    const before',
    '    const before',
    ['    this.records++\n', '    this.records++\n    this.catchUp(channel, false)\n'],
  ),
  attempt(
    'frames of one shard are sent side by side',
    'for (const f of list) {\n          this.checkDeadline()\n          await this',
    'for (const f of list) {\n          this.checkDeadline()\n          void this',
    ['f.shard, f.data)\n', 'f.shard, f.data).catch(() => {})\n'],
  ),
  at('runtime/aws/functions/kinesis-arrivals.ts')(
    'the position of a source is one record ahead',
    'const holds = (position: SourcePosition, record: Arrival) =>',
    'const holds = (position: SourcePosition, record: Arrival) => [...seqs.keys()].findIndex(r => !isTaken(seqs.get(r)!, takenOf(position, split, shardId))) === [...seqs.keys()].indexOf(record) && seqs.size > 3 && seqs.keys().next().value !== record ||',
  ),
]

export const mutants: readonly Mutant[] = [...RULES, ...SEGMENTS, ...OTHERS, ...SHARDS, ...STAGE_SHARDS, ...RESTARTS]
