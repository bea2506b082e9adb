import assert from 'node:assert/strict'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../../devnet/free-port.ts'
import { eventually } from '../../../test/tools/until.ts'
import type { NodeEvent } from '../../domain/events.ts'
import { ManualClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import { ControlApi } from './control-api.ts'
import { route } from './control-route.ts'
import { LiveEvents } from './live-events.ts'

const NOW_MS = 1_700_000_000_000

/** A control API with the events of a node at `/events`, on a clock that stands still. */
async function served(t: TestContext) {
  const clock = new ManualClock(NOW_MS)
  const live = new LiveEvents({ clock })
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  const port = await freePort()
  const events = route('/events', {
    about: 'Follows the events.',
    changes: false,
    answer: (_, { headers }) => ({
      stream: (request, response) => {
        const kinds = String(headers.kinds ?? '').split(',')
        live.open(request, response, new Set(kinds.filter((kind) => kind !== '')))
      },
    }),
  })
  await supervisor.start(new ControlApi({ host: '127.0.0.1', port }, { routes: [events], log: silentLog }))
  await supervisor.start(live)
  return { clock, live, port, supervisor }
}

/** A client of `/events`, with what it was sent so far. */
class Follower {
  text = ''
  status = 0
  hasEnded = false
  #asked: ClientRequest
  #answer: IncomingMessage | null = null

  constructor(port: number, headers: Readonly<Record<string, string>> = {}) {
    this.#asked = request({ host: '127.0.0.1', port, path: '/events', headers }, (answer) => {
      this.#answer = answer
      this.status = answer.statusCode!
      answer.setEncoding('utf8')
      answer.on('data', (text) => {
        this.text += text
      })
      answer.on('end', () => {
        this.hasEnded = true
      })
      answer.on('error', () => {})
    })
    this.#asked.on('error', () => {})
    this.#asked.end()
  }

  async connected(): Promise<this> {
    await eventually('an answer', async () => this.status !== 0)
    return this
  }

  /** Reads nothing more until it is called again. */
  pause(isPaused: boolean): void {
    if (isPaused) this.#answer!.pause()
    else this.#answer!.resume()
  }

  get events(): Record<string, unknown>[] {
    const blocks = this.text.split('\n\n').slice(0, -1)
    return blocks
      .filter((block) => block.startsWith('id: '))
      .map((block) => JSON.parse(block.split('\ndata: ')[1]!))
  }

  get resyncs(): number {
    return this.text.split('event: resync\n').length - 1
  }

  get lastId(): string {
    return [...this.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]!
  }

  leave(): void {
    this.#asked.destroy()
  }
}

const round = (number: bigint): NodeEvent => ({ kind: 'round-begun', round: number })
const done = (pixels: bigint): NodeEvent => ({
  ...{ kind: 'segment-done', side: 'transcoder', durationMs: 1, tookMs: 1, pixels, profiles: [] },
})

test('a reader gets what happens as JSON with its time, amounts as text, and first what was kept', async (t) => {
  const { live, port } = await served(t)
  live.hear(round(7n))
  live.hear(done(1n))
  const reader = await new Follower(port).connected()
  live.hear({ kind: 'reward-called', round: 7n, reward: 10n ** 18n, fee: 2n ** 70n, txHash: '0xaa' })
  live.hear(done(2n ** 60n))
  await eventually('three events', async () => reader.events.length === 3)
  assert.deepEqual(reader.events, [
    { kind: 'round-begun', round: '7', atMs: NOW_MS },
    {
      ...{ kind: 'reward-called', round: '7', reward: `${10n ** 18n}`, fee: `${2n ** 70n}`, txHash: '0xaa' },
      atMs: NOW_MS,
    },
    {
      ...{ kind: 'segment-done', side: 'transcoder', durationMs: 1, tookMs: 1, pixels: `${2n ** 60n}` },
      ...{ profiles: [], atMs: NOW_MS },
    },
  ])
  assert.equal(reader.resyncs, 0)
})

test('a reader of some kinds gets no other, and a text of a stranger stays within its event', async (t) => {
  const { live, port } = await served(t)
  const reader = await new Follower(port, { kinds: 'stream-ended' }).connected()
  live.hear(round(1n))
  live.hear({ kind: 'stream-ended', manifestId: 'a\n\nevent: resync\ndata: x', reason: '\u2028<script>' })
  await eventually('an event', async () => reader.events.length === 1)
  assert.equal(reader.events[0]!.manifestId, 'a\n\nevent: resync\ndata: x')
  assert.equal(reader.resyncs, 0)
  live.hear({ kind: 'stream-ended', manifestId: 'x'.repeat(20_000), reason: '' })
  await eventually('one too long to send', async () => reader.resyncs === 1)
})

test('a reader that comes back gets what it missed; after a restart of the node it must look again', async (t) => {
  const { live, port } = await served(t)
  const reader = await new Follower(port).connected()
  live.hear(round(1n))
  await eventually('an event', async () => reader.events.length === 1)
  const { lastId } = reader
  reader.leave()
  await eventually('it has left', async () => live.readers === 0)
  const at = async (id: string) => {
    const back = await new Follower(port, { 'last-event-id': id }).connected()
    await eventually('its greeting', async () => back.text.startsWith('retry: '))
    return back
  }
  assert.deepEqual([(await at(lastId)).resyncs, (await at('zzz-1')).resyncs], [0, 1])
  live.hear(round(2n))
  const back = await at(lastId)
  await eventually('what it missed', async () => back.events.length === 1)
  assert.deepEqual([back.events[0]!.round, back.resyncs], ['2', 1])
})

test('events are kept in bounds, and readers are counted', async (t) => {
  const { live, port } = await served(t)
  for (let i = 0; i < 1_000; i++) live.hear(round(BigInt(i)))
  const first = await new Follower(port).connected()
  await eventually('what was kept', async () => first.events.length === 200)
  assert.equal(first.events[0]!.round, '800')
  const all = [first]
  for (let i = 1; i < 32; i++) all.push(await new Follower(port).connected())
  const late = await new Follower(port).connected()
  assert.deepEqual([live.readers, late.status], [32, 503])
  await eventually('the refusal', async () => late.text === '32 readers follow the events already\n')
  all[5]!.leave()
  await eventually('one has left', async () => live.readers === 31)
  assert.equal((await new Follower(port).connected()).status, 200)
})

test('a reader that reads nothing costs a bounded memory, is told what it missed, and is let go in the end', async (t) => {
  const { clock, live, port } = await served(t)
  const slow = await new Follower(port).connected()
  const stuck = await new Follower(port).connected()
  slow.pause(true)
  stuck.pause(true)
  const reason = 'x'.repeat(10_000)
  // More than the sockets of both ends take.
  const tell = async (events: number) => {
    for (let i = 0; i < events; i++) {
      live.hear({ kind: 'stream-ended', manifestId: `${i}`, reason })
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await tell(3_000)
  assert.equal(live.readers, 2)
  slow.pause(false)
  await eventually('the gap is told', async () => slow.resyncs >= 1)
  assert.ok(slow.events.length < 3_000, `${slow.events.length} events`)
  await eventually('it is up to date again', async () => {
    live.hear(round(5n))
    return slow.events.at(-1)!.kind === 'round-begun'
  })
  await clock.wind(120_000)
  await eventually('the stuck one is let go', async () => live.readers === 1)
})

test('heartbeats are sent, and the end of the node ends the streams without waiting for their readers', async (t) => {
  const { clock, live, port, supervisor } = await served(t)
  const reader = await new Follower(port).connected()
  await eventually('the reader is known', async () => live.readers === 1)
  await clock.wind(5_000)
  await eventually('a heartbeat', async () => reader.text.endsWith('\n\n:\n\n'))
  const paused = await new Follower(port).connected()
  paused.pause(true)
  const startMs = performance.now()
  await supervisor.stop()
  assert.ok(performance.now() - startMs < 2_000)
  await eventually('the end', async () => reader.hasEnded)
})
