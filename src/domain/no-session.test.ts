import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../lib/errors.ts'
import { Rational } from '../lib/rational.ts'
import { AttemptError } from './attempt.ts'
import { sentenceOf } from './causes.ts'
import { causesOfNoSession, type PayingFacts } from './no-session.ts'
import { type SkippedOffer, skippedFor } from './skipped-offer.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const ETHER = 10n ** 18n
const GWEI = 10n ** 9n

const PAYING: PayingFacts = {
  account: ACCOUNT,
  funds: { deposit: ETHER, fundsRemaining: ETHER, withdrawRound: 0n, claimedInCurrentRound: 0n },
  poolSize: 100n,
  lastInitializedRound: 50n,
  limits: { maxTicketEv: Rational.of(10n), maxTotalEv: Rational.of(100n), depositMultiplier: 1n },
  maxPrice: Rational.of(1000n),
  redeemGas: 350_000n,
  gasPrice: GWEI,
}

function causesOf(skipped: Record<string, SkippedOffer>, paying: PayingFacts | null = PAYING, size = 1) {
  const facts = { size, skipped: new Map(Object.entries(skipped)), foundAt: 'on-chain' as const, paying }
  return causesOfNoSession(facts)
}

const codesOf = (...given: Parameters<typeof causesOf>) => causesOf(...given).map(({ code }) => code)
const withFunds = (funds: Partial<NonNullable<PayingFacts['funds']>>) => {
  return { ...PAYING, funds: { ...PAYING.funds!, ...funds } }
}
const silent: SkippedOffer = { kind: 'silent', reason: 'connection refused' }

test('without any orchestrator that is the cause, unless some are known that no search has reached yet', () => {
  assert.deepEqual(codesOf({}, PAYING, 0), ['no-orchestrators'])
  assert.deepEqual(codesOf({}, PAYING, 3), [])
})

test('the sender’s own funds are the cause only where offers failed for them', () => {
  const refused = { a: { kind: 'reserve-too-small' }, b: silent } as const
  assert.deepEqual(codesOf(refused, withFunds({ deposit: 0n })), ['no-deposit', 'orchestrators-silent'])
  assert.deepEqual(codesOf(refused, withFunds({ fundsRemaining: 0n })), [
    'no-reserve',
    'orchestrators-silent',
  ])
  assert.deepEqual(codesOf({ a: { kind: 'unpayable' } }, withFunds({ withdrawRound: 51n })), [
    'funds-unlocking',
  ])
  assert.deepEqual(codesOf({ b: silent }, withFunds({ deposit: 0n })), ['orchestrators-silent'])
})

test('a reserve that orchestrators find too small comes with the share of each and the amount that is missing', () => {
  const [cause, ...more] = causesOf(
    { a: { kind: 'reserve-too-small' } },
    withFunds({ fundsRemaining: ETHER / 100n }),
  )
  assert.equal(more.length, 0)
  assert.equal(
    sentenceOf(cause!),
    `the reserve of ${ACCOUNT}, 0.01 ETH, gives each of 100 active orchestrators 0.0001 ETH, too little for the only orchestrator (a); redeeming a ticket takes a share of about 0.00035 ETH: raise the reserve to about 0.035 ETH with: livepeer gateway fund --reserve 0.025ETH`,
  )
})

test('the best of the offers above a limit is named', () => {
  const [price] = causesOf({
    a: { kind: 'too-expensive', price: Rational.of(1500n) },
    b: { kind: 'too-expensive', price: Rational.of(1200n) },
    c: silent,
  })
  assert.deepEqual(price, {
    code: 'price-above-maximum',
    facts: { limit: Rational.of(1000n), best: Rational.of(1200n), orchestrator: 'b', count: 2, of: 3 },
  })
  const [ev] = causesOf({
    a: { kind: 'ticket-ev', ev: Rational.of(80n) },
    b: { kind: 'ticket-ev', ev: Rational.of(30n) },
  })
  assert.deepEqual(ev, {
    code: 'ticket-ev-above-maximum',
    facts: { limitWei: Rational.of(10n), bestWei: Rational.of(30n), orchestrator: 'b', count: 2, of: 2 },
  })
  const [deposit] = causesOf({ a: { kind: 'face-value', faceValue: 3n * ETHER } })
  assert.equal(deposit!.code, 'deposit-too-small')
})

test('several reasons are several causes, those first that came closest to a session', () => {
  const skipped: Record<string, SkippedOffer> = {
    a: silent,
    b: { kind: 'unfit', missing: ['HEVC decoding'] },
    c: { kind: 'full' },
    d: { kind: 'blocked' },
    e: { kind: 'refuses', reason: 'it tells no price' },
    f: { kind: 'suspended', reason: 'ErrSegSig', until: 'for 30 s' },
    g: { kind: 'busy' },
  }
  assert.deepEqual(codesOf(skipped), [
    ...['orchestrators-busy', 'capability-missing', 'orchestrators-suspended', 'orchestrators-full'],
    ...['orchestrators-refuse', 'orchestrators-silent', 'orchestrators-blocked'],
  ])
  assert.deepEqual(codesOf(skipped, null).length, 7)
})

test('errors say why an orchestrator is not used, however deep the reason lies', () => {
  const offer = new NodeError('params-refused', 'ticket EV 80 > max ticket EV 10', {
    details: { ticketEv: Rational.of(80n) },
  })
  assert.deepEqual(skippedFor(new AttemptError('payment-refused', offer.message, { cause: offer })), {
    kind: 'ticket-ev',
    ev: Rational.of(80n),
  })
  const kinds = (error: unknown) => skippedFor(error).kind
  assert.equal(kinds(new NodeError('refused', 'insufficient sender reserve')), 'reserve-too-small')
  assert.equal(kinds(new NodeError('refused', 'Invalid orchestrator request: OrchestratorCapped')), 'full')
  assert.equal(kinds(new NodeError('sender-cannot-pay', 'no sender reserve')), 'unpayable')
  assert.deepEqual(skippedFor(new AttemptError('unsent', 'connection refused')), silent)
  assert.deepEqual(skippedFor(new NodeError('refused', 'go away')), { kind: 'refuses', reason: 'go away' })
})

test('a gateway without any orchestrator is told where to name some', () => {
  const told = (['listed', 'webhook', 'on-chain'] as const).map((foundAt) =>
    causesOfNoSession({ size: 0, skipped: new Map(), foundAt, paying: null }).map(sentenceOf),
  )
  assert.deepEqual(told, [
    ['no orchestrator is listed: name orchestrators with -orchAddr'],
    ['the webhook of -orchWebhookUrl lists no orchestrator that can be called: see what the webhook answers'],
    [
      'no orchestrator is active on chain with an address that can be called: name orchestrators with -orchAddr',
    ],
  ])
})
