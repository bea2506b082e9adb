import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from './figures.ts'
import {
  canRetry,
  factsOf,
  NO_FILTER,
  pathOf,
  STORY,
  stepSentence,
  TICKETS,
  ticketRow,
  transactionSentence,
} from './tickets.ts'

const NOW_MS = Date.UTC(2026, 8, 1)
const HASH = `0x${'ab'.repeat(32)}`
const SENDER = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

/** A ticket as it is sent. */
const SENT = {
  ...{ ticket: HASH, sender: SENDER, recipient: SENDER, faceValueWei: `${10n ** 17n}`, expectedWei: '1000' },
  ...{ state: 'open', reason: 'underfunded', receivedAtMs: NOW_MS - 60_000, updatedAtMs: NOW_MS },
  ...{ creationRound: '4000', expiryBlock: '22005760', blocksLeft: '50', txHash: null, block: null },
  ...{ paidWei: null, feeWei: null, sessionId: 's1', source: 'paid', receivedBy: 'n1' },
}
const REDEEMED = {
  ...SENT,
  ...{
    state: 'redeemed',
    reason: '',
    blocksLeft: null,
    txHash: '0xcc',
    paidWei: `${10n ** 17n}`,
    feeWei: '21000',
  },
}
const STEP = {
  ...{ atMs: NOW_MS, node: 'n1', step: 'received', reason: '', txHash: null, block: null },
  ...{ paidWei: null, feeWei: null, redeemer: null, says: null },
}

function figuresIn<T>(figures: { value: T } | { fault: string }): T {
  assert.ok('value' in figures, 'fault' in figures ? figures.fault : '')
  return figures.value
}

test('a ticket shows its state, why it waits, and how long it can wait', () => {
  const body = JSON.stringify({ tickets: [SENT, REDEEMED], next: 'x' })
  const { next, tickets } = figuresIn(read(TICKETS, { httpStatus: 200, body }))
  assert.equal(next, 'x')
  const [open, redeemed] = tickets.map((ticket) => ticketRow(ticket, NOW_MS))
  assert.deepEqual(open, {
    ...{ hash: HASH, sender: SENDER, state: 'open', txHash: '', received: '60 s ago', faceValue: '0.1 ETH' },
    ...{
      tone: 'plain',
      reason: 'waits for funds of its sender',
      deadline: '50 L1 blocks (about 10 min)',
      paid: '',
    },
  })
  const { deadline, paid, reason, tone } = redeemed!
  assert.deepEqual([tone, reason, deadline, paid], ['good', '', '', '0.1 ETH'])
  assert.deepEqual(tickets.map(canRetry), [true, false])
})

test('the board asks for what was chosen, page by page', () => {
  assert.equal(pathOf(NO_FILTER, null), 'tickets?limit=50')
  const filter = { state: 'open', reason: 'no-ether', sender: SENDER, within: '100' }
  assert.equal(
    pathOf(filter, `1-${HASH}`),
    `tickets?state=open&reason=no-ether&sender=${SENDER}&within=100&after=1-${HASH}&limit=50`,
  )
  assert.equal(pathOf({ ...NO_FILTER, sender: '&limit=9' }, null), 'tickets?sender=%26limit%3D9&limit=50')
})

test('one ticket’s story tells each step with its transaction, and whose words refused it', () => {
  const steps = [
    STEP,
    { ...STEP, step: 'open', reason: 'redeemer-refuses', redeemer: 'r:8935', says: 'wrong recipient' },
    { ...STEP, step: 'submitted', txHash: '0xcc', node: null },
    { ...STEP, step: 'redeemed', txHash: '0xcc', block: '9', paidWei: `${10n ** 17n}`, feeWei: '21000' },
  ]
  const transactions = [
    {
      ...{ account: SENDER, nonce: 4, state: 'mined', sentAtMs: NOW_MS, txHashes: ['0xbb', '0xcc'] },
      ...{ feeWei: '42000', tickets: 2 },
    },
  ]
  const body = JSON.stringify({ ...REDEEMED, story: steps, transactions })
  const story = figuresIn(read(STORY, { httpStatus: 200, body }))
  assert.deepEqual(story.story.map(stepSentence), [
    'was received, noted by n1',
    'waits because its redeemer refuses it, redeemer r:8935, “wrong recipient”, noted by n1',
    'is on its way to the chain, transaction 0xcc',
    'was redeemed, transaction 0xcc, in block 9, paid 0.1 ETH, gas 21000 wei, noted by n1',
  ])
  assert.deepEqual(story.transactions.map(transactionSentence), [
    `mined, from ${SENDER} with nonce 4, for 2 tickets, 2 attempts, gas 42000 wei`,
  ])
  assert.deepEqual(Object.fromEntries(factsOf(story)), {
    ...{ gateway: SENDER, 'face value': '0.1 ETH', 'expected value': '1000 wei', 'created in': 'round 4000' },
    ...{ came: 'in a payment that was accepted', session: 's1', 'taken by': 'n1' },
    ...{ paid: '0.1 ETH', gas: '21000 wei' },
  })
})

test('a ticket that is none is not shown', () => {
  for (const wrong of [
    { ...SENT, ticket: '0x' },
    { ...SENT, faceValueWei: 'x' },
    { ...SENT, blocksLeft: {} },
    null,
  ])
    assert.ok(
      'fault' in read(TICKETS, { httpStatus: 200, body: JSON.stringify({ tickets: [wrong], next: null }) }),
    )
})
