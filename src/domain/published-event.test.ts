import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { EVERY_EVENT } from '../../test/fakes/every-event.ts'
import type { Address } from '../lib/crypto.ts'
import { maskUrl } from '../lib/mask-url.ts'
import type { NodeEventOf, TriedSegment } from './events.ts'
import { envelopeOf, PUBLISHED_KINDS, transcodeEvent } from './published-event.ts'

const source = { id: 'one', node: 'gw', nowMs: 1_700_000_000_000, shown: maskUrl }
const address: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const tried: TriedSegment = {
  ...{ manifestId: 'movie', streamId: 'strm-1', sequence: 7n, durationMs: 2_000, bytes: 40_796 },
  ...{ startedMs: 1_699_999_999_960, tookMs: 39, isDone: true },
  attempts: [
    { orchestrator: 'https://o1:8935', address, tookMs: 9, error: 'OrchestratorBusy' },
    { orchestrator: 'https://o2:8935', address, tookMs: 30, error: null },
  ],
}

suite('the event about a segment (gateway.md §13)', () => {
  test('tells of the segment and of each attempt, in the recorded form', () => {
    const { body, key, type } = transcodeEvent(tried, source)
    assert.equal(type, 'transcode')
    assert.equal(key, 'broadcaster.stream_health.transcode.m.strm-1')
    assert.equal(
      body,
      `{"type":"transcode","id":"one","timestamp":1700000000000,"streamId":"strm-1","nodeId":"gw","segment":{"name":"","seqNo":7,"duration":2,"byteSize":40796},"startTime":1699999999960,"latencyMs":39,"success":true,"attempts":[{"orchestrator":{"address":"${address}","transcodeUri":"https://o1:8935"},"latencyMs":9,"error":"OrchestratorBusy"},{"orchestrator":{"address":"${address}","transcodeUri":"https://o2:8935"},"latencyMs":30,"error":null}]}`,
    )
  })

  test('without any attempt, and where no orchestrator is left', () => {
    const none = { orchestrator: '', address: null, tookMs: 0, error: null }
    const attemptsOf = (attempts: TriedSegment['attempts']) =>
      JSON.parse(transcodeEvent({ ...tried, attempts }, source).body).attempts
    assert.equal(attemptsOf(null), null)
    assert.deepEqual(attemptsOf([none]), [
      { orchestrator: { address: '', transcodeUri: '' }, latencyMs: 0, error: null },
    ])
  })

  test('shows no path of an orchestrator’s files, no secret of a URL, and no endless error', () => {
    const errorOf = (error: string) => {
      const attempts = [{ orchestrator: 'https://me:hush@o1:8935/hush', address, tookMs: 9, error }]
      const [attempt] = JSON.parse(transcodeEvent({ ...tried, attempts }, source).body).attempts
      assert.equal(attempt.orchestrator.transcodeUri, 'https://o1:8935')
      return attempt.error
    }
    assert.equal(errorOf('open /root/.lpData/offchain/x.tempfile: no such file'), 'open …: no such file')
    assert.equal(
      errorOf('cannot call https://o1:8935/segment/a: refused'),
      'cannot call https://o1:8935/segment/a: refused',
    )
    assert.equal(
      errorOf('cannot call https://[::1]:8935/segment/a'),
      'cannot call https://[::1]:8935/segment/a',
    )
    assert.equal(errorOf('No keyframes in input'), 'No keyframes in input')
    assert.ok(errorOf('x'.repeat(100_000)).length < 250)
  })

  test('has a key of at most 255 bytes, of whole characters, and its name in full in the body', () => {
    const streamId = '🎬'.repeat(200)
    const { body, key } = transcodeEvent({ ...tried, streamId }, source)
    const bytes = Buffer.byteLength(key)
    assert.ok(bytes <= 255 && bytes > 251, `${bytes}`)
    assert.equal(Buffer.from(key).toString(), key)
    assert.equal(JSON.parse(body).streamId, streamId)
    assert.equal(
      transcodeEvent({ ...tried, manifestId: '🎬x', streamId: 'a.b.c#*' }, source).key,
      'broadcaster.stream_health.transcode.🎬.a.b.c#*',
    )
  })
})

suite('the envelope of the network (operations.md §6)', () => {
  test('has id, type, timestamp, gateway and data, with amounts as texts and URLs without secrets', () => {
    const payment = EVERY_EVENT.find(({ kind }) => kind === 'payment-sent') as NodeEventOf<'payment-sent'>
    const event = { ...payment, orchestrator: 'https://me:hush@o1:8935/hush' }
    const { body, key, type } = envelopeOf(event, source)!
    assert.deepEqual([type, key], ['payment-sent', 'movie'])
    assert.deepEqual(JSON.parse(body), {
      ...{ id: 'one', type: 'payment-sent', timestamp: '1700000000000', gateway: 'gw' },
      data: { manifestId: 'movie', orchestrator: 'https://o1:8935', tickets: 3, value: '3000000000' },
    })
    const segment = envelopeOf({ kind: 'segment-tried', ...tried }, source)!
    assert.equal(JSON.parse(segment.body).data.sequence, '7')
    assert.equal(JSON.parse(segment.body).data.attempts[1].orchestrator, 'https://o2:8935')
  })

  test('is made for each published kind, and for no other', () => {
    const made = EVERY_EVENT.filter((event) => envelopeOf(event, source) !== null).map(({ kind }) => kind)
    assert.deepEqual([...new Set(made)].sort(), [...PUBLISHED_KINDS].sort())
    const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
    const rows = page.split('\n').filter((line) => line.startsWith('| `'))
    const told = rows.flatMap((row) =>
      [...row.split('|')[1]!.matchAll(/`([\w-]+)`/g)].map(([, kind]) => kind!),
    )
    assert.deepEqual(told.filter((kind) => kind.includes('-')).sort(), [...PUBLISHED_KINDS].sort())
  })
})
