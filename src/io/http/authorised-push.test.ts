import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOrchestrator, profileNamed } from '../../../test/fakes/gateway.ts'
import { startGatewayPort } from '../../../test/fakes/gateway-port.ts'
import { openRaw, sendRaw } from '../../../test/net/raw-http.ts'
import { eventually } from '../../../test/tools/until.ts'
import type { StreamConfig } from '../../services/gateway/pushed-segment.ts'
import type { StreamVerdict } from '../../services/gateway/stream-authority.ts'

const CONFIG: StreamConfig = {
  ...{ manifestId: null, profiles: null, timeoutMultiplier: 1, forceSessionReinit: false },
}
const granted = (config: Partial<StreamConfig>): StreamVerdict => ({
  ...{ kind: 'allowed', grant: { config: { ...CONFIG, ...config }, sessionId: null } },
})
/** Events as text, whatever they hold. */
const stringOf = (events: unknown) =>
  JSON.stringify(events, (_, value) => (typeof value === 'bigint' ? String(value) : value))
const ALLOWED: StreamVerdict = { kind: 'allowed', grant: null }
const DENIED: StreamVerdict = { kind: 'denied', reason: 'no' }

/** A gateway whose webhook answers by the name in the URL. */
async function setUp(verdicts: Readonly<Record<string, StreamVerdict>>) {
  const asked: string[] = []
  const authority = {
    decide: async (url: string) => {
      asked.push(url)
      return verdicts[url.split('/')[4]!] ?? DENIED
    },
  }
  const orchestrator = new FakeOrchestrator('https://o1:8935')
  const port = await startGatewayPort({}, [orchestrator], { authority })
  const named = (config: object) => ({ 'Livepeer-Transcode-Configuration': JSON.stringify(config) })
  const status = async (path: string, config: object | null = null) =>
    (await port.push(path, config ? named(config) : {})).status
  const streams = () =>
    port.gateway.status().map(({ externalId, manifestId }) => `${externalId} ${manifestId}`)
  return {
    asked,
    orchestrator,
    port,
    status,
    streams,
    [Symbol.asyncDispose]: () => port[Symbol.asyncDispose](),
  }
}

test('a stream is asked about once, with the host that its publisher calls and no query', async () => {
  await using set = await setUp({ ext: granted({ manifestId: 'int' }) })
  assert.equal(await set.status('/live/ext/0.ts?token=secret'), 200)
  assert.equal(await set.status('/live/ext/1.ts'), 200)
  assert.deepEqual(set.asked, [`${set.port.base}/live/ext/0.ts`])
  assert.deepEqual(set.streams(), ['ext int'])
  // The name in the URL is for the publisher alone.
  assert.doesNotMatch(stringOf(set.port.events), /"ext"|token/)
  assert.equal(set.port.events.filter(({ kind }) => kind === 'publisher-answered').length, 2)
})

test('what a webhook denies is neither decoded nor sent on, and is told so', async () => {
  await using set = await setUp({})
  const answer = await set.port.push('/live/x/0.ts', {}, 'codec=mpeg2video')
  assert.equal(answer.status, 403)
  assert.equal(await answer.text(), 'Could not create stream ID: url=/live/x/0.ts err=no\n')
  assert.deepEqual(set.streams(), [])
  assert.equal(set.orchestrator.submissions.length, 0)
})

test('the name under which a stream is played lets nobody add to it or end it', async () => {
  await using set = await setUp({ ext: granted({ manifestId: 'int' }), other: ALLOWED })
  await set.status('/live/ext/0.ts')
  assert.equal(await set.status('/live/int/9.ts'), 403, 'a viewer pushes to what it plays')
  assert.equal(
    await set.status('/live/other/0.ts', { manifestID: 'int' }),
    500,
    'a header takes another’s name',
  )
  assert.deepEqual(set.streams(), ['ext int'])
  assert.equal(await set.status('/live/ext/1.ts'), 200)
})

test('a name that the webhook gives to another publisher ends the older stream', async () => {
  await using set = await setUp({ a: granted({ manifestId: 'int' }), b: granted({ manifestId: 'int' }) })
  await set.status('/live/a/0.ts')
  await set.status('/live/b/0.ts')
  assert.deepEqual(set.streams(), ['b int'])
})

test('header and webhook must list the same profiles, of which the header’s other words count first', async () => {
  const profiles = [profileNamed('custom')]
  await using set = await setUp({
    ext: granted({ manifestId: 'int', profiles, timeoutMultiplier: 3 }),
    plain: granted({ manifestId: 'plain2' }),
  })
  const { height, width } = profileNamed('custom')
  const custom = { name: 'custom', width, height, bitrate: 400_000, fps: 30 }
  assert.equal(await set.status('/live/ext/0.ts', { profiles: [{ ...custom, bitrate: 1 }] }), 500)
  assert.equal(await set.status('/live/ext/0.ts', {}), 500, 'no profiles are other profiles')
  assert.equal(await set.status('/live/ext/0.ts', { profiles: [custom] }), 200)
  assert.deepEqual(set.streams(), ['ext int'], 'the header names none')
  assert.equal(await set.status('/live/plain/0.ts', { manifestID: 'mine', presets: ['P144p30fps16x9'] }), 200)
  assert.deepEqual(set.streams(), ['ext int', 'plain mine'])
})

test('a publisher that is denied is told so before it has sent its segment, of which nothing is kept', async () => {
  await using set = await setUp({})
  const { http } = set.port
  const socket = await openRaw({ port: http.port })
  let heard = ''
  socket.on('data', (bytes) => {
    heard += String(bytes)
  })
  socket.write('PUT /live/x/0.ts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n\r\n')
  await eventually('the refusal', () => heard.includes('Could not create stream ID'))
  assert.match(heard, /^HTTP\/1\.1 403 /)
  assert.equal(http.bytesHeld, 0)
  assert.equal(set.port.served.length, 0)
  socket.destroy()
})

test('a path that a webhook may take for another is refused before it is asked', async () => {
  await using set = await setUp({ mine: ALLOWED, victim: ALLOWED })
  for (const path of [
    '/live/victim/../mine/0.ts',
    '/live/victim/%2e%2e/mine/0.ts',
    '/live/victim/..%5cmine/0.ts',
  ]) {
    const head = `PUT ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx`
    const { status, text } = await sendRaw(set.port.http, [head])
    assert.equal(status, 400)
    assert.match(text, /\r\n\r\nBad URL url=/)
  }
  assert.deepEqual([set.asked, set.streams()], [[], []])
})

test('what is refused for its URL is not asked about', async () => {
  await using set = await setUp({ ext: ALLOWED })
  for (const path of ['/live/ext/index.m3u8', '/live/ext/0.TS', '/live/.ts']) {
    assert.equal(await set.status(path), 400, path)
  }
  assert.deepEqual(set.asked, [])
})
