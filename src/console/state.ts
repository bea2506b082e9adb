import { computed, signal } from '@preact/signals'
import { type NodeAnswer, readAnswer, type SeenNode } from '../commands/status/answer.ts'
import { problemsOf } from '../commands/status/problems.ts'
import { messageOf } from '../lib/errors.ts'
import { FEED_KINDS, type FeedLine, feedLine, withLine } from './models/feed.ts'
import { Refresher } from './models/refresher.ts'
import { type View, viewIn } from './models/views.ts'

/** How long an answer may take. */
const PATIENCE_MS = 10_000
/** After this long the events are asked for again where the browser does not do so itself. */
const RECONNECT_MS = 3_000

/** What this page's node answered last; null before the first answer. */
export const answer = signal<NodeAnswer | null>(null)
/** Its last status, which stays while it does not answer. */
export const seen = signal<SeenNode | null>(null)
/** What happened lately, the newest first. */
export const feed = signal<readonly FeedLine[]>([])
/** Whether events come in. */
export const isLive = signal(false)
/** The view that is shown. */
export const view = signal<View>(viewIn(location.hash) ?? 'overview')
/** Grows whenever the figures have been read again: views with figures of their own read theirs then. */
export const readings = signal(0)

/** One sentence for each problem, as `livepeer status` says it. */
export const problems = computed(() => (answer.value ? problemsOf([answer.value]) : []))

/** Asks this node. A path is relative to the page, which may lie behind a proxy. */
export async function ask(
  path: string,
  form?: Readonly<Record<string, string>>,
): Promise<{ readonly httpStatus: number; readonly body: string }> {
  const response = await fetch(path, {
    ...{ cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(PATIENCE_MS) },
    ...(form && { method: 'POST', body: new URLSearchParams(form) }),
  })
  return { httpStatus: response.status, body: await response.text() }
}

const refresher = new Refresher(read, {
  now: () => performance.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms)
    return () => clearTimeout(timer)
  },
})
let source: EventSource | null = null

/** Begins to follow the node, for the life of the page. */
export function follow(): void {
  addEventListener('hashchange', () => {
    // A link to a place within the view changes nothing.
    view.value = viewIn(location.hash) ?? view.value
  })
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) refresher.pause()
    else refresher.resume()
  })
  refresher.poke()
}

/** Reads the figures now. */
export function lookAgain(): void {
  refresher.poke()
}

async function read(): Promise<void> {
  const address = location.host
  try {
    const given = await ask('status')
    answer.value = readAnswer(address, given, { atMs: Date.now(), withToken: false })
  } catch (error) {
    answer.value = { address, kind: 'silent', why: messageOf(error) }
  }
  if (answer.value.kind !== 'status') return
  seen.value = answer.value
  readings.value++
  source ??= openEvents()
}

/** Only once the node has answered: until then the token may be missing. */
function openEvents(): EventSource {
  const opened = new EventSource(`events?kinds=${FEED_KINDS.join(',')}`)
  feed.value = []
  opened.onopen = () => {
    isLive.value = true
  }
  opened.onmessage = ({ data }) => {
    const line = feedLine(String(data))
    if (line) feed.value = withLine(feed.value, line)
    refresher.poke()
  }
  opened.addEventListener('resync', () => refresher.poke())
  opened.onerror = () => {
    isLive.value = false
    refresher.poke()
    if (opened.readyState !== EventSource.CLOSED) return
    setTimeout(() => {
      if (source === opened) source = null
    }, RECONNECT_MS)
  }
  return opened
}

/** Shows the token once. Gives back why it was refused; null where the browser is known from now on. */
export async function logIn(token: string): Promise<string | null> {
  try {
    const { body, httpStatus } = await ask('console/login', { token })
    if (httpStatus !== 200) return body.trim()
    lookAgain()
    return null
  } catch (error) {
    return messageOf(error)
  }
}
