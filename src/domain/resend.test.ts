import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attemptConsequence } from './attempt.ts'
import { type FailedSubmission, RESEND_CAUSES, type ResendCause, resendCause } from './resend.ts'

const SEEN = 'invalid ticket senderNonce: already seen sender=0x1 nonce=3'
const FAILED: FailedSubmission = {
  ...{ fault: 'unreachable', text: '', isInVain: false, hasTickets: true, isInDoubt: true },
}

const table: readonly [claim: string, failed: Partial<FailedSubmission>, ResendCause | null][] = [
  ['a connection that was cut', { fault: 'unreachable' }, 'in-transit'],
  ['a connection that was refused', { fault: 'unsent' }, 'in-transit'],
  ['a host that is silent', { fault: 'unsent', isInVain: true }, null],
  ['a balancer without a node', { fault: 'unavailable' }, 'in-transit'],
  ['a truncated answer', { fault: 'cut-short' }, 'in-transit'],
  ['an empty result', { fault: 'unknown-response' }, 'in-transit'],
  ['no answer in time', { fault: 'header-timeout' }, null],
  ['a node without room', { fault: 'unable', text: 'OrchestratorBusy' }, null],
  ['tickets received before', { fault: 'refused', text: SEEN }, 'tickets-seen'],
  [
    'tickets received by another node at the same time',
    { fault: 'refused', text: 'invalid ticket senderNonce: used elsewhere at the same time' },
    'tickets-seen',
  ],
  ['no tickets, said to be received before', { fault: 'refused', text: SEEN, hasTickets: false }, null],
  ['too many tickets', { fault: 'refused', text: 'invalid ticket senderNonce: too many values' }, null],
  ['credit that was charged unseen', { fault: 'refused', text: 'Insufficient balance' }, 'not-covered'],
  [
    'credit of which nothing is in doubt',
    { fault: 'refused', text: 'Insufficient balance', isInDoubt: false },
    null,
  ],
  ['an error in the result', { fault: 'error-in-result', text: SEEN }, null],
]

for (const [claim, failed, cause] of table) {
  test(`${claim}: ${cause ?? 'not sent again'}`, () => {
    assert.equal(resendCause({ ...FAILED, ...failed }, new Set()), cause)
  })
}

test('whatever goes wrong, a segment is sent again once for each cause', () => {
  for (const cause of RESEND_CAUSES)
    for (const fault of Object.keys(attemptConsequence) as FailedSubmission['fault'][])
      for (const text of [SEEN, 'Insufficient balance', '']) {
        const again = resendCause({ ...FAILED, fault, text }, new Set([cause]))
        assert.notEqual(again, cause)
        assert.equal(resendCause({ ...FAILED, fault, text }, new Set(RESEND_CAUSES)), null)
      }
})
