import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { Redis } from 'ioredis'
import { MINUTE_MS, type Recommendation, TRENDING_WINDOW_MS, type TrendingRow, type UserActivity } from './records.ts'

const USERS_SHOWN = 3
const ITEMS_SHOWN = 10
/** Only the end of a result file is looked at: it may be large. */
const TAIL_BYTES = 64 * 1024 * 1024

/** Where the results are. `recommendations` undefined: in Redis. */
export interface Results {
  trending: string
  activity: string
  recommendations: string | undefined
}

/** What happened, for people: the trending list, and three users with their activity and top 10, all at one window's end. */
export async function show(results: Results): Promise<string> {
  const trending = tail<TrendingRow>(results.trending)
  if (trending.length === 0) return 'There were no clicks or views, so there is nothing to show.\n'
  const end = lastFullWindow(trending)
  const users = at(tail<UserActivity>(results.activity), end)
    .sort((a, b) => interest(b) - interest(a) || (a.user_id < b.user_id ? -1 : 1))
    .slice(0, USERS_SHOWN)
  const recommended =
    results.recommendations === undefined ? await fromRedis(users) : at(tail<Recommendation>(results.recommendations), end)
  const lines = [`Most viewed from ${time(end - TRENDING_WINDOW_MS)} to ${time(end)}`]
  for (const row of at(trending, end)) lines.push(`  ${`${row.rank}.`.padStart(3)} ${row.item_id.padEnd(8)} ${row.views} views`)
  for (const user of users)
    lines.push(
      '',
      ...userLines(
        user,
        recommended.find(r => r.user_id === user.user_id),
      ),
    )
  return `${lines.join('\n')}\n`
}

/** The input's end fires windows that reach beyond it and are all but empty: the last one that ended before the last view says more. */
function lastFullWindow(rows: readonly TrendingRow[]): number {
  const ends = rows.map(row => row.window_end)
  const last = ends.reduce((a, b) => Math.max(a, b))
  const full = last - TRENDING_WINDOW_MS
  return ends.includes(full) ? full : last
}

function userLines({ user_id, window_end, activity }: UserActivity, top: Recommendation | undefined): string[] {
  const { searches, clicks, views, recent_queries, recent_clicks, categories } = activity
  const favourites = Object.entries(categories)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3)
  const items = top?.items.slice(0, ITEMS_SHOWN).map(item => `${item.item_id} ${item.score.toFixed(3)}`)
  return [
    `${user_id} at ${time(window_end)}, the 30 minutes before: ${searches} searches, ${clicks} clicks, ${views} views`,
    `  searched for   ${recent_queries.slice(0, 3).join(' · ') || '(nothing)'}`,
    `  looked at      ${recent_clicks.slice(0, 5).join(' ')}`,
    `  categories     ${favourites.map(([name, n]) => `${name} ${n}`).join(', ')}`,
    `  top ${ITEMS_SHOWN}         ${items?.slice(0, 5).join('  ') ?? '(not there)'}`,
    ...(items ? [`                 ${items.slice(5).join('  ')}`] : []),
  ]
}

/** People search and click; bots only view. */
function interest({ activity }: UserActivity): number {
  return Math.min(activity.searches, activity.clicks)
}

function at<T extends { window_end: number }>(rows: readonly T[], end: number): T[] {
  return rows.filter(row => row.window_end === end)
}

function time(at: number): string {
  const iso = new Date(at - (at % MINUTE_MS)).toISOString()
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)}`
}

/** Redis holds each user's latest only. */
async function fromRedis(users: readonly UserActivity[]): Promise<Recommendation[]> {
  const redis = new Redis(process.env.REDIS_URL!)
  try {
    const texts = await Promise.all(users.map(user => redis.get(`top:${user.user_id}`)))
    return texts.flatMap(text => (text === null ? [] : [JSON.parse(text)]))
  } finally {
    redis.disconnect()
  }
}

/** The last records of an NDJSON file; none if it is not there, as after a run that was stopped before its first checkpoint. */
function tail<T>(path: string): T[] {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return []
  }
  try {
    const { size } = fstatSync(file)
    const from = Math.max(0, size - TAIL_BYTES)
    const bytes = Buffer.alloc(size - from)
    readSync(file, bytes, 0, bytes.length, from)
    const start = from === 0 ? 0 : bytes.indexOf(10) + 1
    const lines = bytes.toString('utf8', start).split('\n')
    return lines.flatMap(line => (line === '' ? [] : [JSON.parse(line)]))
  } finally {
    closeSync(file)
  }
}
