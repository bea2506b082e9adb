import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rational } from '../../lib/rational.ts'
import { Totals } from './totals.ts'

const sender = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'

test('what happened since the start is counted, refusals by their reason', () => {
  const totals = new Totals()
  const done = {
    kind: 'segment-done',
    side: 'transcoder',
    durationMs: 2_000,
    tookMs: 900,
    pixels: 7n,
    profiles: [],
  } as const
  totals.hear(done)
  totals.hear(done)
  totals.hear({ kind: 'segment-failed', side: 'transcoder', failure: 'transcode', reason: 'any' })
  totals.hear({ kind: 'segment-retried', manifestId: 'movie', sequence: 4n, attempt: 2 })
  const resent = { kind: 'segment-resent', manifestId: 'movie', sequence: 4n, orchestrator: 'o' } as const
  for (const cause of ['in-transit', 'tickets-seen', 'not-covered', 'in-transit'] as const)
    totals.hear({ ...resent, cause })
  const payment = { manifestId: 'movie', orchestrator: 'https://o', tickets: 3, value: Rational.zero }
  totals.hear({ kind: 'payment-sent', ...payment })
  totals.hear({ kind: 'payment-accepted', ...payment, tickets: 2 })
  totals.hear({ kind: 'payment-refused', sender, manifestId: '', winners: 0, reason: 'any' })
  for (const reason of ['expired', 'no-room', 'expired'])
    totals.hear({ kind: 'handed-ticket-refused', reason })
  const { segmentsTranscoded, segmentsFailed, ticketsSent, ticketsAccepted } = totals
  assert.deepEqual(
    { segmentsTranscoded, segmentsFailed, ticketsSent, ticketsAccepted },
    { segmentsTranscoded: 2, segmentsFailed: 1, ticketsSent: 3, ticketsAccepted: 2 },
  )
  assert.deepEqual([totals.segmentsRetried, totals.segmentsResent], [1, 2])
  assert.equal(totals.paymentsRefused, 1)
  assert.deepEqual(totals.handedTicketsRefused, { expired: 2, 'no-room': 1 })
})
