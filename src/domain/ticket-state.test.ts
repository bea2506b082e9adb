import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../lib/errors.ts'
import { NEW_TICKET, nextState, refusalAtExpiry, type TicketEvent, type TicketState } from './ticket-state.ts'

const redeemed: TicketState = { kind: 'redeemed', txHash: '0x01', paid: 5n, fee: 1n, block: 9n }
const states = {
  open: NEW_TICKET,
  submitted: { kind: 'submitted', txHash: null },
  delivered: { kind: 'delivered' },
  redeemed,
  refused: { kind: 'refused', reason: 'expired' },
} satisfies Record<TicketState['kind'], TicketState>
const events = {
  waits: { kind: 'waits', reason: 'underfunded' },
  submitting: { kind: 'submitting' },
  sent: { kind: 'sent', txHash: '0x01' },
  delivered: { kind: 'delivered' },
  redeemed: { kind: 'redeemed', redemption: redeemed },
  refused: { kind: 'refused', reason: 'expired' },
  undone: { kind: 'undone' },
} satisfies Record<TicketEvent['kind'], TicketEvent>

const table: Record<TicketState['kind'], Partial<Record<TicketEvent['kind'], TicketState['kind']>>> = {
  open: {
    waits: 'open',
    submitting: 'submitted',
    delivered: 'delivered',
    redeemed: 'redeemed',
    refused: 'refused',
  },
  submitted: {
    waits: 'open',
    submitting: 'submitted',
    sent: 'submitted',
    delivered: 'delivered',
    redeemed: 'redeemed',
    refused: 'refused',
  },
  delivered: {
    waits: 'open',
    submitting: 'submitted',
    delivered: 'delivered',
    redeemed: 'redeemed',
    refused: 'refused',
  },
  redeemed: { redeemed: 'redeemed', undone: 'open' },
  refused: {},
}

test('each event is possible in exactly the states of the table', () => {
  for (const [from, state] of Object.entries(states)) {
    for (const [kind, event] of Object.entries(events)) {
      const to = table[from as keyof typeof states][kind as keyof typeof events]
      if (to) assert.equal(nextState(state, event).kind, to, `${from} ${kind}`)
      else assert.throws(() => nextState(state, event), NodeError, `${from} ${kind}`)
    }
  }
})

test('a resubmitted ticket keeps its transaction', () => {
  const sent = nextState(states.submitted, events.sent)
  assert.deepEqual(nextState(sent, events.submitting), { kind: 'submitted', txHash: '0x01' })
})

test('an expired ticket is refused for what it waited for', () => {
  const reasons = (
    ['underfunded', 'not-worth-gas', 'gas-too-high', 'chain-unavailable', 'params-live'] as const
  ).map((reason) => refusalAtExpiry({ kind: 'open', reason }))
  assert.deepEqual(reasons, ['underfunded', 'not-worth-gas', 'gas-too-high', 'expired', 'expired'])
  assert.equal(refusalAtExpiry(states.submitted), 'expired')
})
