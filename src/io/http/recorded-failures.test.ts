import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FastClock } from '../../../test/fakes/fast-clock.ts'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { recordsIn } from '../../../test/vectors/recorded.ts'
import { transcodeEvent } from '../../domain/published-event.ts'
import { ManualClock, settle } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import type { StreamAuthority } from '../../services/gateway/stream-authority.ts'

/**
 * Every recorded failure under a Go gateway, against this one, in its order: `same`, or `better` with what is better. What an
 * orchestrator said of a segment is said by the one here; one that was stopped answers no more, and one that was killed
 * refuses connections.
 */

type Attempts = readonly (readonly [orchestrator: string, error: string | null])[] | null

interface Recorded {
  readonly case: string
  /** 0: the connection was closed without an answer. */
  readonly status?: number
  readonly text?: string
  readonly statuses?: readonly number[]
  readonly gatewayAlive?: boolean
  /** Of the event about the segment. */
  readonly success?: boolean
  readonly attempts?: Attempts
  readonly events?: readonly { readonly success: boolean; readonly attempts: Attempts }[]
  readonly source?: string
  readonly low?: string
  readonly results?: readonly (readonly [what: string, before: string, then: string, seconds: number])[]
  readonly timeline?: readonly (readonly unknown[])[]
}

type Verdict = 'same' | 'better'
type Act = (record: Recorded) => Promise<void>
type Row = readonly [what: RegExp, verdict: Verdict, why: string, act: Act]

const records = recordsIn<Recorded>('failures.json')

const FIRST = 'https://127.0.0.1:9011'
const SECOND = 'https://127.0.0.1:9012'
const USUAL = { Accept: 'multipart/mixed', 'Content-Duration': '2000' }
const STOPPED = new NodeError('header-timeout', 'header timeout: no status within 2 s')
const ANSWERED = 'the publisher gets an answer; neither its connection nor the process ends'
const AGAIN = 'it is tried again while the segment has time: it may be back'
const BY_NAME = 'refused by name before anybody is paid for it'
const never = new AbortController().signal
const profiles = ['low', 'tiny'].map(profileNamed)

type Options = NonNullable<Parameters<typeof startGatewayPort>[0]>
type Given = NonNullable<Parameters<typeof startGatewayPort>[2]>

/** A gateway and its orchestrators, each as it is now. */
async function begin(urls: readonly string[], options: Options = {}, given: Given = {}) {
  const orchestrators = urls.map((url, index) => {
    const one = new FakeOrchestrator(url, index + 1)
    // The first one is found first.
    one.infoDelayMs = index * 100
    return one
  })
  const port = await startGatewayPort({ profiles, ...options }, orchestrators, {
    clock: new FastClock(100),
    ...given,
  })
  const push = async (path: string, headers: Record<string, string> = {}) => {
    port.events.splice(0)
    const answer = await port.push(`/live/${path}.ts`, { ...USUAL, ...headers })
    return { status: answer.status, text: await answer.text() }
  }
  /** The attempts at each segment since the last push. */
  const tried = () =>
    port.events.flatMap((event) => {
      if (event.kind !== 'segment-tried') return []
      const { body } = transcodeEvent(event, { id: 'x', node: 'HOST', nowMs: 0, shown: maskUrl })
      const { attempts, success } = JSON.parse(body)
      const told: Attempts =
        attempts?.map((one: { orchestrator: { transcodeUri: string }; error: string | null }) => [
          one.orchestrator.transcodeUri,
          one.error,
        ]) ?? null
      return [{ success, attempts: told }]
    })
  return { port, orchestrators, push, tried }
}

type World = Awaited<ReturnType<typeof begin>>
let world: World | null = null

/** Ends the gateway before, and begins another. */
async function anew(...arguments_: Parameters<typeof begin>): Promise<World> {
  await world?.port[Symbol.asyncDispose]()
  world = await begin(...arguments_)
  return world
}

function now(): World {
  assert.ok(world)
  return world
}

/** What was said of a fault, as far as the words are not another's. */
function wordsOf(error: string | null): string | null {
  return error?.replace(/^(header timeout):.*/s, '$1') ?? null
}

function sameEvent({ attempts, success }: Pick<Recorded, 'attempts' | 'success'>, { tried }: World): void {
  const [told] = tried()
  assert.equal(told?.success, success)
  const plain = (list: Attempts | undefined) => list?.map(([url, error]) => [url, wordsOf(error)]) ?? null
  assert.deepEqual(plain(told?.attempts), plain(attempts))
}

function faultIn(text = ''): string {
  return text
    .replace(/ manifestID=\S+/, '')
    .replace('http://HOST', '')
    .replace(/err="(.*)"/, 'err=$1')
    .trim()
}

/** Pushes what an orchestrator says this of, and compares answer and event. */
function pushed(path: string, said: string | null = null): Act {
  return async (record) => {
    const one = now()
    for (const orchestrator of one.orchestrators)
      orchestrator.outcome = said === null ? null : { kind: 'error', text: said }
    const { status, text } = await one.push(path)
    for (const orchestrator of one.orchestrators) orchestrator.outcome = null
    assert.equal(status, record.status, text)
    if (record.status !== 200) assert.ok(text.startsWith(faultIn(record.text)), text)
    sameEvent(record, one)
  }
}

/** A configuration that is refused. */
function refused(path: string, ...configured: readonly object[]): Act {
  return async () => {
    const profiles = configured.map((one) => ({ width: 160, height: 120, bitrate: 100_000, ...one }))
    const headers = { 'Livepeer-Transcode-Configuration': JSON.stringify({ profiles }) }
    const { status, text } = await now().push(path, headers)
    assert.equal(status, 400)
    assert.match(text, /^failed to parse transcode config header: /)
    assert.deepEqual(now().tried(), [])
    assert.equal((await now().push('healthy/0')).status, 200, 'it goes on')
  }
}

/** Pushes a segment whose answer is this, however the event is told. */
async function answers(path: string, expected: number): Promise<void> {
  const { status, text } = await now().push(path)
  assert.equal(status, expected, text)
}

const stop = (index = 0) => {
  now().orchestrators[index]!.refusal = { error: STOPPED, answered: false }
}
const kill = (index = 0) => {
  now().orchestrators[index]!.isAway = true
}
const revive = () => {
  for (const one of now().orchestrators) Object.assign(one, { isAway: false, refusal: null, infoDelayMs: 0 })
}

/** The one that did the last segment. */
const usedOf = ({ orchestrators }: World) =>
  orchestrators.findIndex(({ submissions }) => submissions.length > 0)

/** Of two, the used one fails; the other one does this segment and the next. */
function failedOver(fails: (index: number) => void, name: string): Act {
  return async (record) => {
    const one = await anew([FIRST, SECOND])
    await answers(`${name}/0`, 200)
    const used = usedOf(one)
    fails(used)
    assert.equal((await one.push(`${name}/1`)).status, record.status)
    const [told] = one.tried()
    assert.equal(told?.success, true)
    const order = told!.attempts!.map(([url, error]) => [url === [FIRST, SECOND][used], error === null])
    assert.deepEqual(order, [
      [true, false],
      [false, true],
    ])
    assert.equal(record.attempts!.length, 2)
  }
}

/** The segment after that goes to the other one at once. */
function goesOn(path: string): Act {
  return async (record) => {
    assert.equal((await now().push(path)).status, record.status)
    const [told] = now().tried()
    assert.deepEqual([told?.success, told?.attempts?.length], [record.success, record.attempts!.length])
  }
}

async function killedUnderPushes({ statuses }: Recorded): Promise<void> {
  await anew([FIRST])
  assert.deepEqual(statuses, [200, 0, 0, 503])
  await answers('old/0', 200)
  kill()
  await answers('old/1', 503)
  await answers('old/2', 503)
  await answers('away/0', 503)
}

async function backUnderPushes({ statuses }: Recorded): Promise<void> {
  assert.deepEqual(statuses, [503, 200, 200])
  revive()
  for (const path of ['old/3', 'new/0', 'away/1']) await answers(path, 200)
}

/** One that does not answer is tried as often as -maxAttempts allows. */
async function triedAgain(path: string): Promise<void> {
  const { status, text } = await now().push(path)
  assert.equal(status, 422)
  assert.match(text, /err=hit max transcode attempts: header timeout: /)
  const [told] = now().tried()
  const attempts = told?.attempts?.map(([url, error]) => [url, wordsOf(error)])
  assert.deepEqual(attempts, Array(3).fill([FIRST, 'header timeout']))
}

async function stoppedUnderPushes(): Promise<void> {
  await anew([FIRST])
  await answers('st/0', 200)
  stop()
  await triedAgain('st/1')
}

async function usedOneKilled(): Promise<void> {
  const one = await anew([FIRST, SECOND])
  await answers('two/0', 200)
  kill(usedOf(one))
  await answers('two/1', 200)
}

/** What the RTMP port hands on. */
async function publishes({ port }: World, sequence: bigint): Promise<unknown> {
  return await port.gateway.serve(
    {
      ...{ externalId: 'rt', sequence, format: 'mpegts', durationMs: 2_000, resolution: '' },
      ...{ bytes: Buffer.from('codec=h264'), clip: null, config: null, isPublished: true },
    },
    never,
  )
}

async function killedUnderPublisher(record: Recorded): Promise<void> {
  const one = await anew([FIRST])
  const publication = one.port.gateway.publish('rt')
  await publishes(one, 0n)
  kill()
  for (const sequence of [1n, 2n, 3n, 4n])
    await assert.rejects(publishes(one, sequence), { code: 'no-sessions' })
  const list = (track: string) => one.port.gateway.mediaPlaylist('rt', track)!.match(/^\/.*$/gm)
  const recorded = (text?: string) => text?.match(/^\/.*$/gm)
  if (record.source) {
    assert.deepEqual([list('source'), list('low')], [recorded(record.source), recorded(record.low)])
    const successes = one.tried().map(({ success }) => success)
    assert.deepEqual(
      successes,
      record.events!.map(({ success }) => success),
    )
  }
  revive()
  await publishes(one, 5n)
  assert.match(list('low')!.at(-1)!, /5\.ts$/, 'the stream goes on')
  publication.end('it left')
}

async function clientLeaves({ attempts }: Recorded): Promise<void> {
  const one = await anew([FIRST, SECOND])
  await answers('t/0', 200)
  const gone = new AbortController()
  for (const orchestrator of one.orchestrators) {
    orchestrator.workMs = 2_000
    orchestrator.outcome = { kind: 'error', text: 'late' }
  }
  one.port.events.splice(0)
  const pushing = fetch(`${one.port.base}/live/t/9.ts`, { method: 'PUT', body: 'x', signal: gone.signal })
  while (!one.port.events.some(({ kind }) => kind === 'payment-sent')) await settle()
  gone.abort()
  await assert.rejects(pushing)
  while (one.tried().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const [told] = one.tried()
  assert.deepEqual([told?.success, told?.attempts?.length], [false, attempts!.length])
}

async function untried(record: Recorded): Promise<void> {
  const one = await anew([FIRST], { maxAttempts: 0 })
  assert.deepEqual(await one.push('v/0'), { status: 200, text: '' })
  sameEvent(record, one)
  assert.equal((await fetch(`${one.port.base}/stream/v/source.m3u8`)).status, 200)
}

/** One segment a second for a while, of whose seconds 5 to 15 `fails` begins and `returns` ends; those that were not done. */
async function lostOf(fails: () => void, returns: () => void): Promise<number[]> {
  const clock = new ManualClock()
  const one = await anew([FIRST], {}, { clock })
  const lost: number[] = []
  for (let second = 0; second < 30; second++) {
    if (second === 5) fails()
    if (second === 15) returns()
    const segment = {
      ...({ externalId: 'rec', sequence: BigInt(second), format: 'mpegts', durationMs: 2_000 } as const),
      ...{ bytes: Buffer.from('codec=h264'), resolution: '', clip: null, config: null },
    }
    one.port.gateway.serve(segment, never).catch(() => lost.push(second))
    await clock.wind(1_000)
  }
  await clock.wind(10_000)
  return lost
}

async function recovers(record: Recorded): Promise<void> {
  const isKilled = record.case.includes('killed')
  const lost = await lostOf(isKilled ? () => kill() : () => stop(), revive)
  const recorded = record
    .timeline!.filter(([, , status]) => status === '503')
    .map(([, segments]) => `${segments}`)
  const counts = recorded.map((range) => {
    const [from, to = from] = range.split('-').map(Number) as [number, number?]
    return to - from + 1
  })
  const most = counts.reduce((sum, count) => sum + count, 0)
  assert.ok(lost.length <= most, `${lost} were lost, recorded ${most}`)
  assert.ok(Math.min(...lost, 5) === 5 && Math.max(...lost, 0) < 15, `${lost}`)
  // The last ones of those that came meanwhile wait until it is back.
  if (isKilled) assert.ok(lost.length < 6, `${lost}`)
}

async function headerLimits({ results }: Recorded): Promise<void> {
  const asks = (timeoutMultiplier: number) => ({
    'Livepeer-Transcode-Configuration': JSON.stringify({ timeoutMultiplier }),
  })
  const config = { manifestId: null, profiles: null, timeoutMultiplier: 3, forceSessionReinit: false }
  const authority: StreamAuthority = {
    decide: async () => ({ kind: 'allowed', grant: { config, sessionId: null } }),
  }
  for (const [what, before, , seconds] of results!) {
    const isGranted = what.includes('webhook')
    const one = await anew([FIRST], {}, isGranted ? { authority } : {})
    const [, durationMs = '', multiplier] = /^duration (\d+)(?:, header timeoutMultiplier (\d))?/.exec(what)!
    const headers = { 'Content-Duration': durationMs, ...(multiplier && asks(Number(multiplier))) }
    assert.equal((await one.push('h/0', headers)).status, Number(before))
    const [submission] = one.orchestrators[0]!.submissions
    // The webhook's word counts too, where that of peers does not.
    assert.equal(submission?.headerTimeoutMs, isGranted ? 6_000 : Math.round(seconds) * 1_000, what)
  }
}

const rows: readonly Row[] = [
  [/^off-chain push, the only .* killed/, 'better', ANSWERED, killedUnderPushes],
  [/^↳ orchestrator started again: old/, 'better', 'the old stream finds it again too', backUnderPushes],
  [/^off-chain push, the only .* stopped/, 'better', ANSWERED, stoppedUnderPushes],
  [/^off-chain push, two orchestrators/, 'better', 'the other one does the segment', usedOneKilled],
  [/^off-chain push with the header/, 'better', BY_NAME, refused('dots/0', { name: '..' })],
  [/^off-chain RTMP stream/, 'better', ANSWERED, killedUnderPublisher],
  [
    /^one orchestrator, a good segment/,
    'same',
    '',
    async (record) => {
      await anew([FIRST])
      await pushed('s/0')(record)
    },
  ],
  [/^body without video/, 'same', '', pushed('bad/0', 'TranscoderInvalidVideo')],
  [/^vertical/, 'same', '', pushed('vert/0', 'Generic error in an external library')],
  [/^slice 5000/, 'same', '', pushed('sl/0', 'ZeroSegments')],
  [
    /^NUL in the name/,
    'better',
    'events tell no path of an orchestrator’s files',
    async (record) => {
      const said = 'open /root/.lpData/a-0-a476.tempfile: invalid argument'
      const attempts = [
        [FIRST, 'open …: invalid argument'],
        ['', null],
      ] as const
      await pushed('a%00b/0', said)({ ...record, attempts })
    },
  ],
  [/^profile named/, 'better', BY_NAME, refused('dd/0', { name: '..' })],
  [/^bitrate 1/, 'same', '', pushed('b1/0', 'Generic error in an external library')],
  [/^chromaFormat 3/, 'better', BY_NAME, refused('cf/0', { chromaFormat: 3 })],
  [
    /^too many outputs/,
    'better',
    BY_NAME,
    refused('many/0', ...Array.from({ length: 20 }, (_, n) => ({ name: `p${n}` }))),
  ],
  [
    /stopped \(SIGSTOP\) under a stream/,
    'better',
    AGAIN,
    async () => {
      await answers('st/0', 200)
      stop()
      await triedAgain('st/1')
    },
  ],
  [/^↳ the segment after/, 'better', AGAIN, () => triedAgain('st/2')],
  [
    /^↳ a new stream/,
    'same',
    '',
    async (record) => {
      now().orchestrators[0]!.infoDelayMs = 60_000
      await pushed('stnew/0')(record)
    },
  ],
  [
    /^↳ orchestrator runs again/,
    'better',
    'the next segment finds it',
    async () => {
      revive()
      await answers('st/3', 200)
    },
  ],
  [/^↳ the second stream/, 'same', '', pushed('stnew/1')],
  [
    /killed under a stream/,
    'better',
    'the segment waits for it to come back as long as it has time, and no connection is refused in vain',
    async () => {
      await answers('kl/0', 200)
      kill()
      await answers('kl/1', 503)
      const [told] = now().tried()
      assert.deepEqual(told?.attempts, [['', null]])
    },
  ],
  [/^↳ the segment after/, 'same', '', pushed('kl/2')],
  [
    /^↳ orchestrator started again: the same/,
    'same',
    '',
    async (record) => {
      revive()
      await pushed('kl/3')(record)
    },
  ],
  [/^↳ and once more/, 'same', '', pushed('kl/4')],
  [/^two orchestrators, the used one killed/, 'same', '', failedOver(kill, 't')],
  [/^↳ the segment after/, 'same', '', goesOn('t/2')],
  [/^two orchestrators, the used one stopped/, 'same', '', failedOver(stop, 'u')],
  [/^↳ the segment after/, 'same', '', goesOn('u/2')],
  [
    /^two orchestrators, vertical/,
    'same',
    '',
    async (record) => {
      await anew([FIRST, SECOND])
      await pushed('v/0', 'Generic error in an external library')(record)
    },
  ],
  [/^client leaves/, 'same', '', clientLeaves],
  [
    /^-maxAttempts 1/,
    'same',
    '',
    async (record) => {
      await anew([FIRST], { maxAttempts: 1 })
      await pushed('v/0', 'Generic error in an external library')(record)
    },
  ],
  [/^-maxAttempts 0/, 'better', 'the source is served, which is all that is asked for', untried],
  [/^on-chain RTMP stream/, 'same', '', killedUnderPublisher],
  [/^recovery: .* stopped/, 'better', 'no segment is lost once it is back', recovers],
  [/^recovery: .* killed/, 'better', 'those that came last while it was away wait for it', recovers],
  [/^header time-outs/, 'better', 'a webhook’s word counts as a header’s', headerLimits],
]

test('every recorded failure is the same here, or better', async (t) => {
  t.after(() => world?.port[Symbol.asyncDispose]())
  const counts = new Map<Verdict, number>()
  assert.deepEqual([records.length, rows.length], [36, 36])
  for (const [index, record] of records.entries()) {
    const [what, verdict, , act] = rows[index]!
    assert.match(record.case, what)
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
    try {
      await act(record)
    } catch (error) {
      throw new Error(`${record.case}: ${error}`, { cause: error })
    }
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(counts)))
})
