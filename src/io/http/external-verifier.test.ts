import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RecordingCauses } from '../../../test/fakes/causes.ts'
import { profileOf } from '../../../test/fakes/profile.ts'
import { type HookAnswer, WebhookServer } from '../../../test/net/webhook-server.ts'
import type { NodeEvent } from '../../domain/events.ts'
import type { Clock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { Supervisor } from '../../lib/service.ts'
import { ExternalVerifier } from './external-verifier.ts'
import { VerifierFolder } from './verifier-folder.ts'

const never = new AbortController().signal
const NOW = 1_700_000_000_000
/** A clock on which pauses take no time. */
const NO_TIME: Clock = { now: () => NOW, sleep: async () => {} }
const PROFILES = [
  profileOf({ name: 'low', width: 160, height: 120, fps: 30, fpsDen: 0 }),
  profileOf({ name: 'ntsc', width: 80, height: 60, fps: 30_000, fpsDen: 1001 }),
]
const text = (words: string) => new TextEncoder().encode(words)
const RESULT = {
  ...{ manifestId: 'movie', sequence: 7n, durationMs: 2_000, orchestrator: 'ab12', source: text('source') },
  renditions: PROFILES.map((profile, index) => ({
    profile,
    bytes: text(profile.name),
    pixels: BigInt(index + 1),
  })),
}

async function setUp() {
  const server = await WebhookServer.open()
  const folder = mkdtempSync(join(tmpdir(), 'verifier-'))
  const causes = new RecordingCauses()
  const events: NodeEvent[] = []
  const files = new VerifierFolder(folder, { clock: NO_TIME, dice: seededDice('verifier') })
  const url = `${server.url.replace('//', '//user:swordfish@')}/verify?key=swordfish`
  const verifier = new ExternalVerifier(url, {
    ...{ place: files, clock: NO_TIME, causes, events: { tell: (event) => void events.push(event) } },
  })
  return {
    ...{ server, folder, causes, files, verifier },
    verdicts: () => events.flatMap((event) => (event.kind === 'result-judged' ? [event.verdict] : [])),
    answers: (...results: object[]) => {
      server.answer = { body: JSON.stringify({ model: 'x', results }) }
      return verifier.judge(RESULT, never)
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true })
    },
  }
}

test('the verifier is asked as peers ask it, and finds the files in the folder that both share', async () => {
  await using set = await setUp()
  const seen: string[] = []
  const results = [0.5, 1.5].map((ocsvm_dist) => ({ tamper: 0, ocsvm_dist }))
  set.server.answer = () => {
    const [own] = readdirSync(set.folder)
    for (const name of ['source', 'low', 'ntsc'])
      seen.push(readFileSync(join(set.folder, own!, name), 'utf8'))
    return { body: JSON.stringify({ results }) }
  }
  assert.deepEqual(await set.verifier.judge(RESULT, never), { fault: null, score: 1 })
  assert.deepEqual(seen, ['source', 'low', 'ntsc'])
  const [asked] = set.server.requests
  assert.equal(`${asked!.method} ${asked!.path}`, 'POST /verify?key=swordfish')
  const body = JSON.parse(asked!.body)
  const [, own] = /^\/stream\/(livepeer-[0-9a-f]{16})\/source$/.exec(body.source)!
  assert.deepEqual(body, {
    ...{ source: `/stream/${own}/source`, orchestratorID: 'ab12', orchestrator_id: 'ab12' },
    renditions: [
      { uri: `/stream/${own}/low`, resolution: { width: 160, height: 120 }, frame_rate: 30, pixels: 1 },
      {
        uri: `/stream/${own}/ntsc`,
        resolution: { width: 80, height: 60 },
        frame_rate: 30_000 / 1001,
        pixels: 2,
      },
    ],
  })
  assert.deepEqual(readdirSync(set.folder), [], 'nothing is left')
})

test('one bad rendition makes a bad result; the score is the mean of all', async () => {
  await using set = await setUp()
  const good = { video_available: true, audio_available: true, audio_dist: 0, tamper: 0, ocsvm_dist: 3 }
  for (const [fault, changes] of [
    ['tampered', { tamper: 1, ocsvm_dist: -1 }],
    ['audio-mismatch', { audio_dist: 0.1, tamper: 1 }],
    ['video-unavailable', { video_available: false }],
    [null, { audio_available: false, audio_dist: 9 }],
  ] as const) {
    const verdict = await set.answers(good, { ...good, ...changes })
    assert.equal(verdict?.fault, fault)
    assert.equal(verdict?.score, fault === 'tampered' ? 1 : 3)
  }
  assert.deepEqual(set.verdicts(), ['tampered', 'audio-mismatch', 'video-unavailable', 'good'])
})

const noVerdict: readonly (readonly [what: string, answer: HookAnswer, tries: number, reason: RegExp])[] = [
  ['fails', { status: 500, body: 'secret' }, 1, /it answers 500/],
  ['is behind a proxy that finds nobody', { status: 503 }, 3, /it answers 503/],
  ['cuts the connection', { habit: 'cuts' }, 3, /socket hang up|ECONNRESET/],
  ['never ends its answer', { habit: 'endless' }, 1, /its answer is longer than 1000000 bytes/],
  ['answers no JSON', { body: 'secret <html>' }, 1, /no results that can be read/],
  ['answers another type', { body: '{"results":[{"tamper":"0"},{}]}' }, 1, /no results that can be read/],
  ['judges too few renditions', { body: '{"results":[{}]}' }, 1, /it judges 1 renditions of 2/],
]

for (const [what, answer, tries, reason] of noVerdict) {
  test(`a verifier that ${what} gives no verdict, which is a cause until it gives one`, async () => {
    await using set = await setUp()
    set.server.answer = answer
    assert.equal(await set.verifier.judge(RESULT, never), null)
    assert.equal(set.server.requests.length, tries)
    assert.match(set.causes.sentences[0]!, reason)
    assert.doesNotMatch(set.causes.sentences.join(), /secret|swordfish/)
    assert.deepEqual(readdirSync(set.folder), [])
    await set.answers({}, {})
    assert.deepEqual(set.causes.told, ['verifier-failing begun', 'verifier-failing ended'])
    assert.deepEqual(set.verdicts(), ['none', 'good'])
  })
}

test('at most sixteen results are with the verifier at once, and a stream that ends waits for none', async () => {
  await using set = await setUp()
  set.server.answer = { habit: 'hangs' }
  const abort = new AbortController()
  const waiting = Array.from({ length: 16 }, () => set.verifier.judge(RESULT, abort.signal))
  assert.equal(await set.verifier.judge(RESULT, never), null)
  assert.match(set.causes.sentences[0]!, /16 other results wait for it/)
  abort.abort()
  const ended = await Promise.allSettled(waiting)
  assert.ok(ended.every((one) => one.status === 'rejected' && one.reason.name === 'AbortError'))
  assert.deepEqual(readdirSync(set.folder), [])
})

test('a folder that cannot be written ends the start; what a killed gateway left there is removed', async () => {
  await using set = await setUp()
  const stale = join(set.folder, 'livepeer-0123456789abcdef')
  const others = ['livepeer-fedcba9876543210', 'someone-elses']
  for (const path of [stale, ...others.map((name) => join(set.folder, name))]) {
    mkdirSync(path)
    writeFileSync(join(path, 'source'), 'x')
  }
  const before = NOW / 1000 - 2 * 3600
  utimesSync(stale, before, before)
  utimesSync(join(set.folder, 'someone-elses'), before, before)
  utimesSync(join(set.folder, others[0]!), NOW / 1000, NOW / 1000)
  await using supervisor = new Supervisor()
  await supervisor.start(set.verifier)
  assert.deepEqual(readdirSync(set.folder).sort(), others)
  const missing = new VerifierFolder(join(set.folder, 'missing'), { clock: NO_TIME, dice: seededDice('x') })
  await assert.rejects(missing.open(), {
    code: 'verifier-folder-unusable',
    message: /^-verifierPath .*missing cannot be written \(ENOENT.*: give the folder that is shared/,
  })
})
