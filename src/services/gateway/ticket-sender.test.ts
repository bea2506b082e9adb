import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profileOf } from '../../../test/fakes/profile.ts'
import { encodedPixels } from '../../domain/balance.ts'
import type { Outcome } from '../../domain/dealings.ts'
import type { SenderInfo } from '../../domain/float.ts'
import { pricePerPixel } from '../../domain/price.ts'
import type { Profile } from '../../domain/rendition.ts'
import type { OrchestratorInfo } from '../../domain/segment.ts'
import { type ExpirationParams, expectedValue, type Payment, type PriceInfo } from '../../domain/ticket.ts'
import { recipientRand, recipientRandOf, ticketParamsFor, winProbFor } from '../../domain/ticket-params.ts'
import { judgeTickets, settlePayment, ticketsOf } from '../../domain/ticket-rules.ts'
import { bytesToInt, formatHex } from '../../lib/bytes.ts'
import { ManualClock } from '../../lib/clock.ts'
import { addressOfKey, keccak256, signHash } from '../../lib/crypto.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { Rational } from '../../lib/rational.ts'
import { OrchestratorAccounts } from './orchestrator-accounts.ts'
import type { PaymentSession, StagedPayment } from './payer.ts'
import { MAX_TICKETS_PER_BATCH, NoPayments, TicketSender } from './ticket-sender.ts'

const profile = profileOf({ name: 'P144p30fps16x9', bitrate: 400_000, fps: 30, format: 'none' })
const PIXELS = encodedPixels([profile], 2000)
const PRICE: PriceInfo = { pricePerUnit: 1000n, pixelsPerUnit: 1n }
const SECONDS = 1000
const MINUTES = 60 * SECONDS

/** An orchestrator's side, as far as payments go: offers, and a ledger that asks for what the Go node asks for. */
function recipientOf(seed: string, price: PriceInfo, ev: bigint) {
  const dice = seededDice(seed)
  const secret = dice.bytes(32)
  const address = addressOfKey(dice.bytes(32))
  const nonces = new Map<string, Set<number>>()
  const expirationParams: ExpirationParams = { creationRound: 5n, creationRoundBlockHash: dice.bytes(32) }
  let balance = Rational.zero
  let received = 0

  function offer(
    sender: OrchestratorInfo['address'],
    l1Block: bigint,
    sessionId = 'aabbccdd',
  ): OrchestratorInfo {
    const params = ticketParamsFor(secret, {
      recipient: address,
      sender,
      seed: bytesToInt(dice.bytes(32)),
      faceValue: ev * 100n,
      winProb: winProbFor(ev, ev * 100n),
      expirationBlock: l1Block + 40n,
      price: pricePerPixel(price),
      expirationParams,
    })
    return {
      transcoder: 'https://127.0.0.1:8935',
      ticketParams: params,
      priceInfo: price,
      address,
      capabilities: null,
      authToken: {
        token: new Uint8Array(32),
        sessionId,
        expiration: BigInt((START + 30 * MINUTES) / SECONDS),
      },
      storage: [],
      nodes: [],
    }
  }

  return {
    address,
    secret,
    offer,
    get balance() {
      return balance
    },
    get received() {
      return received
    },
    /** Throws the fault, or "Insufficient balance", as the answer to the segment would be. */
    receive(payment: Payment, l1Block: bigint): void {
      const tickets = ticketsOf(payment)
      if (tickets.length > 0) {
        const rand = recipientRandOf(secret, payment, pricePerPixel(payment.expectedPrice!))!
        const seen = nonces.get(rand.toString()) ?? new Set()
        nonces.set(rand.toString(), seen)
        const settled = settlePayment(
          judgeTickets(tickets, {
            recipient: address,
            recipientRand: rand,
            terms: { ticketEv: ev, maxFaceValue: 0n },
            funds: ev * 100n,
            withdrawRound: 0n,
            lastInitializedRound: 5n,
            l1Block,
            seenNonces: seen,
          }),
        )
        for (const nonce of settled.nonces) seen.add(nonce)
        balance = balance.add(settled.credit)
        received += tickets.length
        if (settled.error) throw settled.error
      }
      if (balance.cmp(Rational.of(ev)) < 0) throw new Error('Insufficient balance')
    },
    debit(pixels: bigint): void {
      balance = balance.sub(pricePerPixel(price).mul(Rational.of(pixels)))
    },
  }
}

const START = 1_700_000_000_000
const GOOD_FUNDS: SenderInfo = {
  deposit: 10n ** 18n,
  withdrawRound: 0n,
  fundsRemaining: 10n ** 18n,
  claimedInCurrentRound: 0n,
}

function setUp(options: { ev?: bigint; price?: PriceInfo } = {}) {
  const key = seededDice('sender').bytes(32)
  const signer = { address: addressOfKey(key), sign: async (hash: Uint8Array) => signHash(key, hash) }
  const clock = new ManualClock(START)
  const rounds = {
    lastInitializedRound: 5n,
    l1Block: 100n,
    expirationParams: { creationRound: 7n, creationRoundBlockHash: keccak256() },
  }
  const funds = {
    value: GOOD_FUNDS,
    async info(): Promise<SenderInfo> {
      return this.value
    },
  }
  const limits = {
    maxTicketEv: Rational.of(10n ** 15n),
    maxTotalEv: Rational.of(10n ** 17n),
    depositMultiplier: 1n,
  }
  const accounts = new OrchestratorAccounts({ clock, log: silentLog })
  const settled: (Outcome & { orchestrator: string })[] = []
  const settle = accounts.settle.bind(accounts)
  accounts.settle = (orchestrator, outcome) => {
    settled.push({ orchestrator, ...outcome })
    settle(orchestrator, outcome)
  }
  const sent: bigint[] = []
  const spending = { add: (wei: bigint) => void sent.push(wei) }
  const sender = new TicketSender(limits, { signer, rounds, funds, clock, accounts, spending })
  const recipient = recipientOf('recipient', options.price ?? PRICE, options.ev ?? 10n ** 9n)
  const offer = (sessionId?: string) => recipient.offer(signer.address, rounds.l1Block, sessionId)
  return { sender, recipient, offer, rounds, funds, clock, signer, settled, sent }
}

const nonces = (payment: Payment | null) => payment!.tickets.map((ticket) => ticket.senderNonce)
const SEGMENT: [readonly Profile[], number] = [[profile], 2000]

test('the first segment brings tickets for its whole fee, with nonces from 1, and the recipient takes them', async () => {
  const { sender, recipient, offer, rounds, signer } = setUp()
  const info = offer()
  const { payment } = await sender.open(info).stage(...SEGMENT)
  // 2,211,840 pixels × 1.02 × 1000 wei are a little more than two tickets of 10^9.
  assert.deepEqual(nonces(payment), [1, 2, 3])
  assert.equal(payment!.sender, signer.address)
  assert.deepEqual(payment!.ticketParams, info.ticketParams)
  assert.deepEqual(payment!.expectedPrice, PRICE)
  recipient.receive(payment!, rounds.l1Block)
  assert.ok(recipient.balance.cmp(Rational.of(3n * 10n ** 9n)) >= 0)
})

test('the expected value of tickets is spent once they are sent, whatever becomes of the segment', async () => {
  const { sender, offer, sent } = setUp()
  const ev = expectedValueOf(offer())
  const worth = (tickets: number) => ev.mul(Rational.of(BigInt(tickets))).floor()
  const answered = await sender.open(offer('a')).stage(...SEGMENT)
  assert.deepEqual(sent, [])
  answered.answered()
  answered.completed(PIXELS)
  answered.settled(PIXELS)
  assert.deepEqual(sent, [worth(3)])
  const lost = await sender.open(offer('b')).stage(...SEGMENT)
  lost.abandoned(true)
  assert.deepEqual(sent, [worth(3), worth(3)])
  const kept = await sender.open(offer('c')).stage(...SEGMENT)
  kept.abandoned(false)
  assert.equal(sent.length, 2)
})

test('change is used up before tickets are made again, and nonces go on under the same offer', async () => {
  const { sender, recipient, offer, rounds } = setUp()
  const session = sender.open(offer())
  const counts: number[] = []
  for (let i = 0; i < 12; i++) {
    const staged = await session.stage(...SEGMENT)
    recipient.receive(staged.payment!, rounds.l1Block)
    staged.answered()
    recipient.debit(PIXELS)
    staged.completed(PIXELS)
    counts.push(staged.payment!.tickets.length)
  }
  assert.equal(counts[0], 3)
  assert.ok(counts.slice(1).every((count) => count === 2 || count === 3))
  const spent = Rational.of(PIXELS * 1000n * 12n)
  assert.ok(
    recipient.balance.cmp(Rational.of(2n * 10n ** 9n)) < 0,
    'no more is left over than a ticket or two',
  )
  assert.deepEqual(
    recipient.balance.add(spent),
    expectedValueOf(recipient.offer(recipient.address, 1n)).mul(Rational.of(BigInt(recipient.received))),
  )
})

function expectedValueOf(info: OrchestratorInfo): Rational {
  return expectedValue(info.ticketParams!.faceValue, info.ticketParams!.winProb)
}

test('a segment that is covered carries only sender and price', async () => {
  const { sender, offer, signer } = setUp({ ev: 10n ** 12n })
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(first.payment), [1])
  first.answered()
  first.completed(PIXELS)
  // One ticket is worth 450 segments, but the recipient asks for a whole one to be left.
  const second = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(second.payment), [2])
  second.answered()
  second.completed(PIXELS)
  const third = await session.stage(...SEGMENT)
  assert.deepEqual(third.payment, {
    sender: signer.address,
    ticketParams: null,
    expirationParams: null,
    tickets: [],
    expectedPrice: PRICE,
  })
})

test('a signature that fails costs no credit, and segments that wait for signatures share neither credit nor nonces', async () => {
  const { sender, offer, signer } = setUp()
  const control = setUp()
  const [session, untroubled] = [sender.open(offer()), control.sender.open(control.offer())]
  for (const each of [session, untroubled]) {
    const first = await each.stage(...SEGMENT)
    assert.deepEqual(nonces(first.payment), [1, 2, 3])
    first.answered()
    first.completed(PIXELS)
  }
  const { sign } = signer
  signer.sign = async () => {
    throw new Error('the signer is away')
  }
  await assert.rejects(session.stage(...SEGMENT), /the signer is away/)
  const gate = Promise.withResolvers<void>()
  signer.sign = async (hash) => {
    await gate.promise
    return sign(hash)
  }
  const together = [session.stage(...SEGMENT), session.stage(...SEGMENT)]
  gate.resolve()
  const counts: number[] = []
  const used: number[] = []
  for (const staged of await Promise.all(together)) {
    counts.push(staged.payment!.tickets.length)
    used.push(...nonces(staged.payment))
  }
  const expected = [await untroubled.stage(...SEGMENT), await untroubled.stage(...SEGMENT)]
  assert.deepEqual(
    counts,
    expected.map(({ payment }) => payment!.tickets.length),
  )
  assert.equal(new Set(used).size, used.length)
  assert.ok(Math.min(...used) > 3 + counts[0]! - 1, 'no nonce of the failed payment is used again')
})

test('what was never sent, or never answered, is credit again', async () => {
  const { sender, offer } = setUp({ ev: 10n ** 12n })
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.answered()
  first.completed(0n)
  // One whole ticket is credited now: enough for one segment at a time.
  const second = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(second.payment), [])
  second.abandoned(true)
  second.abandoned(true)
  second.answered()
  second.completed(10n ** 12n)
  const third = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(third.payment), [], 'given back once, and nothing after that counts')
})

test('new tickets of a payment that was never answered are not counted as credit', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.abandoned(true)
  const second = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(second.payment), [4, 5, 6])
})

test('a segment that fails after it was answered costs its fee and no more', async () => {
  const { sender, offer } = setUp({ ev: 10n ** 10n })
  const session = sender.open(offer())
  for (let i = 0; i < 2; i++) (await session.stage(...SEGMENT)).answered()
  // Two tickets are worth eight fees, and a whole ticket is to be left: four segments more are paid for.
  const counts: number[] = []
  for (let i = 0; i < 4; i++) {
    const staged = await session.stage(...SEGMENT)
    counts.push(staged.payment!.tickets.length)
    staged.answered()
    staged.abandoned(true)
  }
  assert.deepEqual(counts, [0, 0, 0, 1])
})

test('segments staged at the same time share the credit instead of each taking all of it', async () => {
  const { sender, offer } = setUp({ ev: 10n ** 12n })
  const session = sender.open(offer())
  for (const staged of await Promise.all([session.stage(...SEGMENT), session.stage(...SEGMENT)])) {
    staged.answered()
    staged.completed(0n)
  }
  // Two tickets are credited: one has to be left, the other is worth 443 segments.
  const staged = await Promise.all(Array.from({ length: 100 }, () => session.stage(...SEGMENT)))
  const bought = staged.reduce((sum, { payment }) => sum + payment!.tickets.length, 0)
  assert.equal(bought, 0)
})

test('segments staged at the same time without credit each bring their own tickets, no nonce twice', async () => {
  const { sender, offer, recipient, rounds } = setUp()
  const session = sender.open(offer())
  const staged = await Promise.all(Array.from({ length: 5 }, () => session.stage(...SEGMENT)))
  const all = staged.flatMap(({ payment }) => nonces(payment))
  assert.deepEqual(
    all.sort((a, b) => a - b),
    Array.from({ length: 15 }, (_, i) => i + 1),
  )
  for (const { payment } of staged.reverse()) recipient.receive(payment!, rounds.l1Block)
})

test('two streams that open the same offer do not use the same nonces', async () => {
  const { sender, offer } = setUp()
  const info = offer()
  const first = await sender.open(info).stage(...SEGMENT)
  const second = await sender.open(info).stage(...SEGMENT)
  assert.deepEqual(nonces(first.payment), [1, 2, 3])
  assert.deepEqual(nonces(second.payment), [4, 5, 6])
})

test('a new offer starts its nonces at 1 and keeps the credit of the auth session', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.answered()
  first.completed(0n)
  session.update(offer(), true)
  const second = await session.stage(...SEGMENT)
  assert.deepEqual(nonces(second.payment), [], 'the first segment cost nothing')
  second.answered()
  second.completed(3n * PIXELS)
  assert.deepEqual(nonces((await session.stage(...SEGMENT)).payment)[0], 1)
})

test('a new auth session starts with no credit', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.answered()
  session.update(offer('11223344'), true)
  first.completed(0n)
  assert.equal((await session.stage(...SEGMENT)).payment!.tickets.length, 3)
})

test('an answer that omits the params leaves the last offer and its price', async () => {
  const { sender, offer, recipient, rounds } = setUp()
  const session = sender.open(offer())
  session.update(
    { ...offer(), ticketParams: null, priceInfo: { pricePerUnit: 1500n, pixelsPerUnit: 1n } },
    true,
  )
  const { payment } = await session.stage(...SEGMENT)
  assert.deepEqual(payment!.expectedPrice, PRICE)
  recipient.receive(payment!, rounds.l1Block)
})

test('free work is paid for with no ticket, and needs no funds', async () => {
  const { sender, offer, funds } = setUp({ price: { pricePerUnit: 0n, pixelsPerUnit: 1n } })
  funds.value = { ...GOOD_FUNDS, deposit: 0n, fundsRemaining: 0n }
  const info = offer()
  const free = { ...info, ticketParams: { ...info.ticketParams!, faceValue: 0n, winProb: 0n } }
  await sender.validate(free)
  const staged = await sender.open(free).stage(...SEGMENT)
  assert.deepEqual(staged.payment!.tickets, [])
  assert.deepEqual(staged.payment!.expectedPrice, { pricePerUnit: 0n, pixelsPerUnit: 1n })
})

test("the recipient's round is echoed; where it names none, the sender's own is used", async () => {
  const { sender, offer, rounds } = setUp()
  const info = offer()
  const theirs = info.ticketParams!.expirationParams
  const none = { creationRound: 0n, creationRoundBlockHash: theirs.creationRoundBlockHash }
  const noHash = { creationRound: 5n, creationRoundBlockHash: new Uint8Array(32) }
  for (const [given, used] of [
    [theirs, theirs],
    [none, rounds.expirationParams],
    [noHash, rounds.expirationParams],
  ] as const) {
    const changed = { ...info, ticketParams: { ...info.ticketParams!, expirationParams: given } }
    const { payment } = await sender.open(changed).stage(...SEGMENT)
    assert.deepEqual(payment!.expirationParams, used)
  }
})

test('validation tells what to do: ask again, stop, or choose another', async () => {
  const { sender, offer, funds, rounds } = setUp()
  const info = offer()
  await sender.validate(info)
  await assert.rejects(sender.validate({ ...info, ticketParams: null }), {
    code: 'params-refused',
    message: 'ticketParams is nil',
  })
  await assert.rejects(sender.validate({ ...info, priceInfo: null }), {
    code: 'no-price',
    message: 'missing orchestrator price',
  })
  const noUnit = { ...info, priceInfo: { pricePerUnit: 1n, pixelsPerUnit: 0n } }
  await assert.rejects(sender.validate(noUnit), { code: 'no-price', message: 'pixels per unit is 0' })
  funds.value = { ...GOOD_FUNDS, deposit: 0n }
  await assert.rejects(sender.validate(info), { code: 'sender-cannot-pay', message: 'no sender deposit' })
  rounds.l1Block = 139n
  await assert.rejects(sender.validate(info), { code: 'params-expired', message: 'TicketParams expired' })
})

test('funds that cannot be read are told apart from funds that do not suffice', async () => {
  const { sender, offer, funds } = setUp()
  funds.info = () => Promise.reject(new Error('connection refused'))
  await assert.rejects(sender.validate(offer()), {
    code: 'funds-unknown',
    message: 'unable to validate sender: connection refused',
  })
})

test('nothing is taken by a payment that is refused', async () => {
  const { sender, offer, funds, rounds } = setUp()
  const info = offer()
  const session = sender.open(info)
  funds.value = { ...GOOD_FUNDS, fundsRemaining: 0n }
  await assert.rejects(session.stage(...SEGMENT), { message: 'no sender reserve' })
  funds.value = GOOD_FUNDS
  rounds.l1Block = 139n
  await assert.rejects(session.stage(...SEGMENT), { code: 'params-expired' })
  rounds.l1Block = 100n
  assert.deepEqual(nonces((await session.stage(...SEGMENT)).payment), [1, 2, 3])
})

test('a price of more than twice the first is refused, which takes no credit; exactly twice is not', async () => {
  const { sender, offer } = setUp()
  const info = offer()
  const twice = sender.open(info)
  twice.update({ ...info, priceInfo: { pricePerUnit: 2000n, pixelsPerUnit: 1n } }, true)
  await twice.stage(...SEGMENT)
  const session = sender.open(offer('other'))
  const unused = await session.stage(...SEGMENT)
  unused.answered()
  unused.completed(0n)
  session.update({ ...info, priceInfo: { pricePerUnit: 2001n, pixelsPerUnit: 1n } }, true)
  await assert.rejects(session.stage(...SEGMENT), {
    code: 'price-doubled',
    message:
      'Orchestrator price has more than doubled, Orchestrator price: 2001/1, Orchestrator initial price: 1000/1',
  })
  session.update(offer('other'), true)
  assert.deepEqual(nonces((await session.stage(...SEGMENT)).payment), [], 'the credit pays for it')
})

test('a segment that takes more tickets than recipients count is refused with the reason', async () => {
  const { sender, offer } = setUp({ ev: 10n ** 7n })
  await assert.rejects(sender.open(offer()).stage(...SEGMENT), {
    code: 'params-refused',
    message: `ticket EV 10000000.00000 too low: the segment takes 226 tickets > max ${MAX_TICKETS_PER_BATCH} tickets`,
  })
})

test('an offer whose nonces are nearly used up is renewed before the recipient refuses one', async () => {
  const { sender, offer } = setUp({ ev: 25n * 10n ** 6n })
  const session = sender.open(offer())
  let made = 0
  while (!session.needsRefresh()) made += (await session.stage(...SEGMENT)).payment!.tickets.length
  assert.ok(made > 500 && made <= 600, `${made} tickets`)
  await session.stage(...SEGMENT).catch(() => {})
  await assert.rejects(session.stage(...SEGMENT), {
    code: 'params-expired',
    message: 'ticketParams has no nonces left',
  })
  session.update(offer(), true)
  assert.equal(session.needsRefresh(), false)
})

test('a refresh is due in the last block of the params', () => {
  const { sender, offer, rounds } = setUp()
  const session = sender.open(offer())
  rounds.l1Block = 138n
  assert.equal(session.needsRefresh(), false)
  rounds.l1Block = 139n
  assert.equal(session.needsRefresh(), true)
})

test('credit that a peer may have forgotten is not counted on, but a debt is remembered longer', async () => {
  const { sender, offer, clock } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.completed(0n)
  await clock.wind(9 * MINUTES + 1)
  const second = await session.stage(...SEGMENT)
  assert.equal(second.payment!.tickets.length, 3, 'the credit of three tickets is not counted on')
  second.completed(4n * PIXELS)
  await clock.wind(20 * MINUTES)
  const third = await session.stage(...SEGMENT)
  assert.ok(third.payment!.tickets.length > 6, 'the debt is paid')
  third.completed(4n * PIXELS)
  await clock.wind(22 * MINUTES)
  assert.equal(
    (await session.stage(...SEGMENT)).payment!.tickets.length,
    3,
    'the debt is forgotten on both sides',
  )
})

test('what is remembered of old sessions and offers does not grow', async () => {
  const { sender, offer, clock, rounds } = setUp()
  for (let i = 0; i < 30; i++) {
    const staged = await sender.open(offer(`session-${i}`)).stage(...SEGMENT)
    staged.completed(0n)
    await clock.wind(5 * MINUTES)
    rounds.l1Block += 25n
  }
  const { balances, offers } = sender.remembered
  assert.ok(balances <= 6, `${balances} balances`)
  assert.ok(offers <= 3, `${offers} offers`)
})

test('an orchestrator that reports fewer pixels than none gains us nothing', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.completed(-(10n ** 15n))
  const counts: number[] = []
  for (let i = 0; i < 2; i++) counts.push((await session.stage(...SEGMENT)).payment!.tickets.length)
  assert.deepEqual(counts, [0, 2])
})

test('signatures and secret numbers hold for every ticket that is made', async () => {
  const { sender, offer, recipient, rounds } = setUp({ ev: 10n ** 8n })
  const info = offer()
  const { payment } = await sender.open(info).stage(...SEGMENT)
  assert.equal(payment!.tickets.length, 23)
  recipient.receive(payment!, rounds.l1Block)
  const rand = recipientRand(recipient.secret, {
    ...info.ticketParams!,
    sender: payment!.sender,
    price: pricePerPixel(PRICE),
  })
  assert.equal(recipientRandOf(recipient.secret, payment!, pricePerPixel(PRICE)), rand)
  assert.equal(new Set(payment!.tickets.map(({ sig }) => formatHex(sig))).size, 23)
})

test('whatever the order of many segments, failures among them, none comes underpaid and little is paid in vain', async () => {
  for (const [seed, ev] of [
    ['small tickets', 10n ** 9n],
    ['large tickets', 10n ** 11n],
    ['one a segment', 2_256_076_800n],
  ] as const) {
    const { sender, recipient, offer, rounds } = setUp({ ev })
    const session = sender.open(offer())
    const dice = seededDice(seed)
    const below = (n: number) => Math.floor(dice.fraction() * n)
    let lost = 0
    const arrived: (() => void)[] = []
    const steps: (() => void)[] = []
    for (let segment = 0; segment < 400; segment++) {
      const staged = await session.stage(...SEGMENT)
      steps.push(() => {
        if (below(20) === 0) {
          staged.abandoned(true)
          return
        }
        recipient.receive(staged.payment!, rounds.l1Block)
        staged.answered()
        arrived.push(() => {
          if (below(20) === 0) {
            lost++
            return
          }
          const pixels = PIXELS - BigInt(below(1000))
          recipient.debit(pixels)
          staged.completed(pixels)
        })
      })
      while (steps.length > below(8)) steps.splice(below(steps.length), 1)[0]!()
      while (arrived.length > below(8)) arrived.splice(below(arrived.length), 1)[0]!()
      session.update(offer(), true)
    }
    for (const step of steps) step()
    for (const step of arrived) step()
    const fee = Rational.of((PIXELS * 1000n * 103n) / 100n)
    const inVain = recipient.balance.sub(fee.mul(Rational.of(BigInt(lost))))
    const limit = Rational.of(ev)
      .mul(Rational.of(10n))
      .add(fee.mul(Rational.of(10n)))
    assert.ok(inVain.cmp(limit) < 0, `${seed}: ${inVain.toFixed(0)} wei beyond what was lost`)
  }
})

const FEE = PIXELS * 1000n
const OVERESTIMATE = (FEE * 102n) / 100n
const EV = 10n ** 9n

/** What an account says after one segment that was staged, and after what `then` makes of it. */
const dealings: readonly [
  claim: string,
  then: (session: PaymentSession, staged: StagedPayment, offer: (id?: string) => OrchestratorInfo) => void,
  earned: bigint,
  lost: bigint,
][] = [
  ['work that came as claimed', (_, staged) => finish(staged, PIXELS, PIXELS), FEE, 0n],
  ['work of which half came', (_, staged) => finish(staged, PIXELS, PIXELS / 2n), FEE / 2n, FEE / 2n],
  ['more than was claimed', (_, staged) => finish(staged, PIXELS, PIXELS), FEE, 0n],
  [
    'an answer without a result',
    (_, staged) => {
      staged.answered()
      staged.settled(0n)
    },
    0n,
    OVERESTIMATE,
  ],
  [
    'an answer that broke off, and the whole of it when the segment was sent again',
    (_, staged) => {
      staged.answered()
      staged.doubted()
      finish(staged, PIXELS, PIXELS)
    },
    FEE,
    0n,
  ],
  [
    'an answer that broke off, of which the credit is gone',
    (_, staged) => {
      staged.answered()
      staged.doubted()
      staged.uncovered()
      staged.settled(0n)
    },
    0n,
    OVERESTIMATE,
  ],
  [
    'tickets that were sent and never answered',
    (_, staged) => {
      staged.abandoned(true)
      staged.settled(0n)
    },
    0n,
    3n * EV,
  ],
  [
    'tickets that were never sent',
    (_, staged) => {
      staged.abandoned(false)
      staged.settled(0n)
    },
    0n,
    0n,
  ],
  [
    'work that this node called off',
    (_, staged) => {
      staged.answered()
      staged.settled(null)
    },
    0n,
    0n,
  ],
  [
    'credit of an auth session that was due',
    (session, staged, offer) => {
      finish(staged, 0n, 0n)
      session.update(offer('11223344'), true)
    },
    0n,
    0n,
  ],
  [
    'credit of an auth session that was not',
    (session, staged, offer) => {
      finish(staged, 0n, 0n)
      session.update(offer('11223344'), false)
    },
    0n,
    3n * EV,
  ],
  [
    'credit that comes back to an auth session that was left',
    (session, staged, offer) => {
      staged.answered()
      session.update(offer('11223344'), false)
      finish(staged, 0n, 0n)
    },
    0n,
    3n * EV,
  ],
  [
    'credit of a session that its orchestrator lost',
    (session, staged) => {
      finish(staged, PIXELS, PIXELS)
      session.close(true)
    },
    FEE,
    3n * EV - FEE,
  ],
  [
    'credit of a session that ended with its stream',
    (session, staged) => {
      finish(staged, PIXELS, PIXELS)
      session.close(false)
    },
    FEE,
    0n,
  ],
]

function finish(staged: StagedPayment, claimed: bigint, delivered: bigint): void {
  staged.completed(claimed)
  staged.settled(delivered)
}

for (const [claim, then, earned, lost] of dealings) {
  test(`counted of ${claim}: ${earned} wei earned, ${lost} lost`, async () => {
    const { sender, offer, settled } = setUp()
    const session = sender.open(offer(), 'https://found.example')
    then(session, await session.stage(...SEGMENT), offer)
    assert.ok(settled.every(({ orchestrator }) => orchestrator === 'https://found.example'))
    const sum = (field: 'earned' | 'lost') => settled.reduce((total, one) => total + one[field], 0n)
    assert.equal(sum('earned'), earned)
    // Fractions of a wei are rounded against the orchestrator, once for each thing that is counted.
    assert.ok(sum('lost') - lost >= 0n && sum('lost') - lost <= 2n, `${sum('lost')} lost`)
  })
}

test('charges in doubt are conceded once, out of what is left, and the segment is staged anew', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const first = await session.stage(...SEGMENT)
  first.answered()
  assert.equal(first.isInDoubt, false)
  first.doubted()
  finish(first, PIXELS, PIXELS)
  assert.ok(first.isInDoubt, 'the first answer may have been charged too')
  const second = await session.stage(...SEGMENT)
  const tickets = second.payment!.tickets.length
  second.answered()
  assert.ok(second.isInDoubt)
  second.uncovered()
  assert.equal(second.isInDoubt, false)
  // As if the first had cost twice as much: at least the tickets of a segment without credit, less what is left.
  const third = await session.stage(...SEGMENT)
  third.answered()
  assert.ok(tickets < 3 && third.payment!.tickets.length <= 3)
  third.uncovered()
  const left = session.stage(...SEGMENT)
  assert.equal((await left).payment!.tickets.length, 0, 'nothing more is conceded')
})

test('of an auth session that was left nothing is in doubt', async () => {
  const { sender, offer } = setUp()
  const session = sender.open(offer())
  const staged = await session.stage(...SEGMENT)
  staged.answered()
  session.update(offer('11223344'), true)
  staged.doubted()
  assert.equal(staged.isInDoubt, false)
})

test('offchain nothing is asked and nothing is paid', async () => {
  const payer = new NoPayments()
  await payer.validate()
  const session = payer.open()
  const staged = await session.stage(...SEGMENT)
  assert.equal(staged.payment, null)
  staged.answered()
  staged.completed(5n)
  staged.abandoned(true)
  staged.settled(0n)
  assert.equal(payer.isLeftOut(), false)
  assert.equal(session.needsRefresh(), false)
  session.close(true)
})
