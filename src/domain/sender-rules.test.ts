import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZERO_ADDRESS } from '../lib/crypto.ts'
import { Rational } from '../lib/rational.ts'
import type { SenderInfo } from './float.ts'
import { areParamsExpired, type SenderContext, validateParams, validatePrice } from './sender-rules.ts'
import { MAX_WIN_PROB, type TicketParams } from './ticket.ts'

const HALF = MAX_WIN_PROB / 2n
const params: TicketParams = {
  recipient: ZERO_ADDRESS,
  faceValue: 150n,
  winProb: HALF,
  recipientRandHash: new Uint8Array(32),
  seed: 1n,
  expirationBlock: 140n,
  expirationParams: { creationRound: 5n, creationRoundBlockHash: new Uint8Array(32) },
}
const funds: SenderInfo = {
  deposit: 10_000n,
  withdrawRound: 0n,
  fundsRemaining: 500n,
  claimedInCurrentRound: 0n,
}
const limits = { maxTicketEv: Rational.of(100n), maxTotalEv: Rational.of(1000n), depositMultiplier: 2n }
const context: SenderContext = { funds, limits, lastInitializedRound: 5n, l1Block: 100n, tickets: 1 }

interface Case {
  readonly name: string
  readonly params?: Partial<TicketParams> | null
  readonly funds?: Partial<SenderInfo>
  readonly limits?: { ev?: number; total?: number; multiplier?: bigint }
  readonly tickets?: number
  readonly refused?: [code: string, message: string]
}

const TOO_LARGE = 'ticket faceValue 149 > max faceValue'
const CASES: Case[] = [
  { name: 'good params' },
  { name: 'no params', params: null, refused: ['params-refused', 'ticketParams is nil'] },
  {
    name: 'no expiration block',
    params: { expirationBlock: 0n },
    refused: ['params-refused', 'ticketParams expiration block is 0'],
  },
  {
    name: 'long expired',
    params: { expirationBlock: 1n },
    refused: ['params-expired', 'TicketParams expired'],
  },
  { name: 'expired', params: { expirationBlock: 99n }, refused: ['params-expired', 'TicketParams expired'] },
  {
    name: 'one block to go',
    params: { expirationBlock: 101n },
    refused: ['params-expired', 'TicketParams expired'],
  },
  { name: 'two blocks to go', params: { expirationBlock: 102n } },
  { name: 'five blocks to go', params: { expirationBlock: 105n } },
  {
    name: 'free work, even without funds',
    params: { faceValue: 0n },
    funds: { deposit: 0n, fundsRemaining: 0n },
  },
  { name: 'tickets that never win', params: { winProb: 0n }, funds: { deposit: 0n } },
  {
    name: 'tickets that always win',
    params: { winProb: MAX_WIN_PROB, faceValue: 99n },
    refused: ['params-refused', 'ticket faceValue too low faceValue=99'],
  },
  {
    name: 'a dear ticket',
    params: { faceValue: 202n },
    limits: { ev: 1 },
    refused: ['params-refused', 'ticket EV 101.00000 > max ticket EV 1.00000'],
  },
  {
    name: 'unlocked in the next round',
    funds: { withdrawRound: 6n },
    refused: ['sender-cannot-pay', 'unable to validate sender: deposit and reserve is set to unlock soon'],
  },
  { name: 'unlocked in the round after', funds: { withdrawRound: 7n } },
  { name: 'no reserve', funds: { fundsRemaining: 0n }, refused: ['sender-cannot-pay', 'no sender reserve'] },
  { name: 'no deposit', funds: { deposit: 0n }, refused: ['sender-cannot-pay', 'no sender deposit'] },
  {
    name: 'neither reserve nor deposit: the reserve is named',
    funds: { deposit: 0n, fundsRemaining: 0n },
    refused: ['sender-cannot-pay', 'no sender reserve'],
  },
  { name: 'one ticket within the total', params: { faceValue: 202n }, limits: { ev: 150, total: 200 } },
  {
    name: 'two tickets beyond the total',
    params: { faceValue: 202n },
    limits: { ev: 150, total: 200 },
    tickets: 2,
    refused: ['params-refused', 'total ticket EV 202.00000 for 2 tickets > max total ticket EV 200.00000'],
  },
  { name: 'deposit 300, face 149', params: { faceValue: 149n }, funds: { deposit: 300n } },
  { name: 'deposit 402, face 200', params: { faceValue: 200n }, funds: { deposit: 402n } },
  { name: 'deposit 399, face 199', params: { faceValue: 199n }, funds: { deposit: 399n } },
  { name: 'deposit 400, face 200', params: { faceValue: 200n }, funds: { deposit: 400n } },
  {
    name: 'deposit 297, face 149: the half is rounded down',
    params: { faceValue: 149n },
    funds: { deposit: 297n },
    refused: ['params-refused', `${TOO_LARGE} 148`],
  },
  {
    name: 'deposit 300, multiplier 5, face 61',
    params: { faceValue: 61n },
    funds: { deposit: 300n },
    limits: { multiplier: 5n },
    refused: ['params-refused', 'ticket faceValue 61 > max faceValue 60'],
  },
  {
    name: 'a face value of more than 256 bits',
    params: { faceValue: 2n ** 256n },
    refused: ['params-refused', 'ticketParams has a number of more than 256 bits'],
  },
]

for (const row of CASES) {
  test(`${row.name}: ${row.refused ? `refused with "${row.refused[1]}"` : 'accepted'}`, () => {
    const { ev = 100, total = 1000, multiplier = 2n } = row.limits ?? {}
    const validate = () =>
      validateParams(row.params === null ? null : { ...params, ...row.params }, {
        ...context,
        funds: { ...funds, ...row.funds },
        limits: {
          maxTicketEv: Rational.of(BigInt(ev)),
          maxTotalEv: Rational.of(BigInt(total)),
          depositMultiplier: multiplier,
        },
        tickets: row.tickets ?? 1,
      })
    if (row.refused) assert.throws(validate, { code: row.refused[0], message: row.refused[1] })
    else assert.doesNotThrow(validate)
  })
}

test('the first of several faults is reported', () => {
  const everythingWrong = {
    ...context,
    funds: { ...funds, withdrawRound: 1n, deposit: 0n, fundsRemaining: 0n },
  }
  const expired = { ...params, expirationBlock: 100n, faceValue: 10n ** 9n }
  assert.throws(() => validateParams(expired, everythingWrong), { message: 'TicketParams expired' })
  assert.throws(() => validateParams({ ...expired, expirationBlock: 200n }, everythingWrong), {
    message: /^ticket EV/,
  })
  assert.throws(() => validateParams(params, everythingWrong), { message: /unlock soon$/ })
})

test('params expire for a sender one block before they do for the recipient', () => {
  assert.equal(areParamsExpired(params, 138n), false)
  assert.equal(areParamsExpired(params, 139n), true)
})

test('a price of more than twice the initial one is refused with both fractions', () => {
  assert.doesNotThrow(() => validatePrice(Rational.of(1n, 6n), Rational.of(1n, 3n)))
  assert.throws(() => validatePrice(Rational.of(1n, 7n), Rational.of(1n, 3n)), {
    code: 'price-doubled',
    message:
      'Orchestrator price has more than doubled, Orchestrator price: 1/3, Orchestrator initial price: 1/7',
  })
  assert.throws(() => validatePrice(Rational.of(2n), Rational.of(5n)), {
    message:
      'Orchestrator price has more than doubled, Orchestrator price: 5/1, Orchestrator initial price: 2/1',
  })
})
