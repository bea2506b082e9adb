import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WinningTicket } from '../../src/domain/ticket.ts'
import { ticketHash } from '../../src/domain/ticket.ts'
import { NEW_TICKET, reasonOf, type TicketState } from '../../src/domain/ticket-state.ts'
import { Store, type StoreOptions } from '../../src/io/store/store.ts'
import { formatHex } from '../../src/lib/bytes.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { PaymentRecord } from '../../src/services/orchestrator/payment-records.ts'

const ALICE: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const BOB: Address = '0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF'
const NOW = 1_700_000_000_000

/** Creates a location for a store, new for each test. */
export type NewPlace = () => Promise<StoreOptions['location']>

/** A winning ticket, different for each number. */
export function wonTicket(n: number, sender: Address = ALICE): WinningTicket {
  return {
    recipient: BOB,
    sender,
    faceValue: 10n ** 16n + BigInt(n),
    winProb: 2n ** 255n,
    senderNonce: n,
    recipientRandHash: new Uint8Array(32).fill(1),
    recipientRand: 2n ** 256n - 1n - BigInt(n),
    expirationParams: { creationRound: 3500n, creationRoundBlockHash: new Uint8Array(32).fill(7) },
    paramsExpirationBlock: 20_000_040n,
    sig: new Uint8Array(65).fill(n % 251),
  }
}

/** A payment of some nonces in one session. */
export function paymentRecord(fields: Partial<PaymentRecord>): PaymentRecord {
  return {
    sender: ALICE,
    sessionId: 'deadbeef',
    credit: Rational.of(0n),
    variance: 0n,
    price: Rational.of(1n),
    recipientRandHash: new Uint8Array(32).fill(1),
    paramsExpirationBlock: 140n,
    nonces: [],
    winners: [],
    idleSinceMs: NOW - 60_000,
    nowMs: NOW,
    ...fields,
  }
}

/** What every store must do, on either database; `shared` ones serve several processes at once. */
export function storeSuite(
  name: string,
  newPlace: NewPlace,
  { shared, ...options }: { shared: boolean } & Omit<StoreOptions, 'location'>,
): void {
  const claim = (text: string, run: (store: Store, reopen: () => Promise<Store>) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const location = await newPlace()
      let store = new Store({ ...options, location })
      await store.open()
      try {
        await run(store, async () => {
          await store.close()
          store = new Store({ ...options, location })
          await store.open()
          return store
        })
      } finally {
        await store.close()
      }
    })

  claim('a payment survives reopening: nonces, credit, price and winners', async (store, reopen) => {
    const winner = wonTicket(1)
    const credit = Rational.of(7n, 2n ** 256n - 1n)
    const answer = await store.recordPayment(
      paymentRecord({
        credit,
        price: Rational.of(101n, 100n),
        nonces: [1, 2, 4_294_967_295],
        winners: [winner],
      }),
    )
    assert.deepEqual(answer, { newWinners: [winner] })
    const again = await reopen()
    const { used, revealed } = await again.noncesOf(winner.recipientRandHash)
    assert.deepEqual([...used].sort(), [1, 2, 4_294_967_295])
    assert.equal(revealed, false)
    assert.deepEqual(await again.sessions.balance(ALICE, 'deadbeef'), credit)
    assert.deepEqual(await again.sessions.price(ALICE, 'deadbeef'), Rational.of(101n, 100n))
    const [stored, ...others] = (await Array.fromAsync(again.unfinishedTickets())).flat()
    assert.equal(others.length, 0)
    assert.deepEqual(stored, {
      hash: ticketHash(winner),
      ticket: winner,
      state: NEW_TICKET,
      receivedAtMs: NOW,
    })
  })

  claim(
    'the pool of orchestrators survives reopening, but for addresses that nobody could call',
    async (store, reopen) => {
      assert.equal(await store.records.loadPool(), null)
      const member = {
        ...{ address: ALICE, serviceUri: 'https://o.example:8935', stake: 2n ** 200n },
        ...{ activationRound: 3n, deactivationRound: 2n ** 256n - 1n },
      }
      const long = { ...member, address: BOB, serviceUri: `https://${'x'.repeat(2_000)}` }
      await store.records.savePool({ readAtMs: NOW, members: [member, long] })
      assert.deepEqual(await (await reopen()).records.loadPool(), { readAtMs: NOW, members: [member] })
    },
  )

  claim('a payment with a nonce used meanwhile stores nothing', async (store) => {
    await store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.of(5n) }))
    const refused = await store.recordPayment(
      paymentRecord({ nonces: [2, 1], credit: Rational.of(5n), winners: [wonTicket(9)] }),
    )
    assert.equal(refused, null)
    assert.deepEqual([...(await store.noncesOf(new Uint8Array(32).fill(1))).used], [1])
    assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(5n))
    assert.deepEqual(await Array.fromAsync(store.unfinishedTickets()), [])
  })

  claim('of two concurrent payments with the same nonce one is recorded', async (store) => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        store.recordPayment(paymentRecord({ nonces: [3], credit: Rational.one })),
      ),
    )
    assert.equal(answers.filter((answer) => answer !== null).length, 1)
    assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.one)
  })

  claim('concurrent credits and debits are all counted', async (store) => {
    const third = Rational.of(1n, 3n)
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        i % 2 === 0
          ? store.recordPayment(paymentRecord({ nonces: [i], credit: third }))
          : store.sessions.debit(ALICE, 'deadbeef', Rational.of(1n, 7n), NOW),
      ),
    )
    assert.deepEqual(
      await store.sessions.balance(ALICE, 'deadbeef'),
      Rational.of(10n).sub(Rational.of(30n, 7n)),
    )
  })

  claim('a failed write does not undo those committed with it', async (store) => {
    const bad = paymentRecord({ nonces: [-0.5], credit: Rational.one, sessionId: null as unknown as string })
    const [first, failed, last] = await Promise.allSettled([
      store.recordPayment(paymentRecord({ nonces: [1], credit: Rational.one })),
      store.recordPayment(bad),
      store.recordPayment(paymentRecord({ nonces: [2], credit: Rational.one })),
    ])
    assert.deepEqual([first?.status, failed?.status, last?.status], ['fulfilled', 'rejected', 'fulfilled'])
    assert.deepEqual(await store.sessions.balance(ALICE, 'deadbeef'), Rational.of(2n))
  })

  claim('a session keeps its first price', async (store) => {
    assert.deepEqual(await store.sessions.fixPrice(ALICE, 'one', Rational.of(5n), NOW), Rational.of(5n))
    assert.deepEqual(await store.sessions.fixPrice(ALICE, 'one', Rational.of(6n), NOW), Rational.of(5n))
    const answer = await store.recordPayment(paymentRecord({ sessionId: 'one', price: Rational.of(7n) }))
    assert.deepEqual(answer, { newWinners: [] })
    assert.deepEqual(await store.sessions.price(ALICE, 'one'), Rational.of(5n))
    assert.equal(await store.sessions.price(ALICE, 'two'), null)
    assert.equal(await store.sessions.price(BOB, 'one'), null)
  })

  claim('credit of idle sessions goes to the sender’s next one once its debts are settled', async (store) => {
    await store.recordPayment(
      paymentRecord({ sessionId: 'busy', nonces: [2], credit: Rational.of(20n), nowMs: NOW - 1 }),
    )
    await store.recordPayment(
      paymentRecord({ sessionId: 'old', nonces: [1], credit: Rational.of(10n), nowMs: NOW - 90_000 }),
    )
    await store.sessions.debit(ALICE, 'owing', Rational.of(3n), NOW - 90_000)
    await store.recordPayment(
      paymentRecord({
        sender: BOB,
        sessionId: 'other',
        nonces: [3],
        credit: Rational.of(40n),
        nowMs: NOW - 90_000,
      }),
    )
    await store.recordPayment(paymentRecord({ sessionId: 'new', nonces: [4], credit: Rational.of(100n) }))
    const balances = await Promise.all(
      ['old', 'busy', 'owing', 'new'].map(async (id) => (await store.sessions.balance(ALICE, id)).toString()),
    )
    assert.deepEqual(balances, ['0', '20', '0', '107'])
    assert.deepEqual(await store.sessions.carryOver(ALICE, 'new', NOW, NOW), Rational.of(127n))
    assert.deepEqual(await store.sessions.carryOver(ALICE, 'later', NOW - 1, NOW), Rational.zero)
    await store.recordPayment(paymentRecord({ sessionId: 'later', nonces: [5], idleSinceMs: NOW }))
    assert.deepEqual(
      await store.sessions.balance(ALICE, 'later'),
      Rational.of(127n),
      'it was not made before',
    )
    assert.deepEqual(await store.sessions.balance(BOB, 'other'), Rational.of(40n))
  })

  claim(
    'a sender owes the sum of its negative balances less the credit in its idle sessions',
    async (store) => {
      const owed = async () => (await store.sessions.owed(ALICE, NOW - 60_000)).toString()
      assert.equal(await owed(), '0')
      await store.sessions.debit(ALICE, 'busy', Rational.of(7n, 2n), NOW)
      await store.sessions.debit(ALICE, 'idle', Rational.of(10n), NOW - 90_000)
      await store.sessions.debit(BOB, 'other', Rational.of(100n), NOW)
      assert.equal(await owed(), '13', 'fractions are the sender’s')
      await store.recordPayment(paymentRecord({ sessionId: 'paying', nonces: [1], credit: Rational.of(6n) }))
      assert.equal(await owed(), '13', 'credit in use settles no debt')
      await store.recordPayment(
        paymentRecord({ sessionId: 'left', nonces: [2], credit: Rational.of(6n), nowMs: NOW - 90_000 }),
      )
      assert.equal(await owed(), '7')
      assert.deepEqual(await store.sessions.carryOver(ALICE, 'new', NOW - 60_000, NOW), Rational.zero)
      assert.equal(await owed(), '7', 'while debts are larger nothing is carried over')
      await store.recordPayment(
        paymentRecord({ sessionId: 'left', nonces: [3], credit: Rational.of(9n), nowMs: NOW - 90_000 }),
      )
      assert.deepEqual(await store.sessions.carryOver(ALICE, 'new', NOW - 60_000, NOW), Rational.of(5n))
      assert.equal(await owed(), '3', 'the session in use still owes')
    },
  )

  claim('a forgotten session leaves its credit to its sender, in whole wei', async (store) => {
    await store.recordPayment(
      paymentRecord({ sessionId: 'a', nonces: [1], credit: Rational.of(21n, 2n), nowMs: NOW - 90_000 }),
    )
    await store.sessions.debit(ALICE, 'b', Rational.of(3n), NOW - 90_000)
    await store.sessions.debit(ALICE, 'c', Rational.of(4n), NOW)
    await store.sessions.forgetSessions(NOW - 60_000)
    assert.deepEqual(await store.sessions.price(ALICE, 'a'), null)
    assert.deepEqual(await store.sessions.balance(ALICE, 'b'), Rational.zero)
    assert.deepEqual(await store.sessions.balance(ALICE, 'c'), Rational.of(-4n))
    await store.recordPayment(paymentRecord({ sessionId: 'd', nonces: [2], credit: Rational.one }))
    assert.deepEqual(await store.sessions.balance(ALICE, 'd'), Rational.of(12n))
  })

  claim('all idle sessions are deleted, however many there are', async (store) => {
    const ids = Array.from({ length: 1_201 }, (_, i) => `session ${i}`)
    await Promise.all(ids.map((id) => store.sessions.debit(ALICE, id, Rational.one, NOW - 90_000)))
    await store.sessions.forgetSessions(NOW - 60_000)
    const left = await Promise.all(ids.map((id) => store.sessions.balance(ALICE, id)))
    assert.ok(left.every((amount) => amount.sign === 0))
  })

  claim('nonces and revealed rands are deleted with their params, not before', async (store) => {
    const early = new Uint8Array(32).fill(1)
    const late = new Uint8Array(32).fill(2)
    await store.recordPayment(
      paymentRecord({ recipientRandHash: early, nonces: [1], paramsExpirationBlock: 140n }),
    )
    await store.recordPayment(
      paymentRecord({ recipientRandHash: late, nonces: [1], paramsExpirationBlock: 141n }),
    )
    await store.reveal(early, 140n)
    await store.reveal(late, 141n)
    await store.forgetNonces(140n)
    assert.deepEqual(await store.noncesOf(early), { used: new Set(), revealed: false })
    assert.deepEqual(await store.noncesOf(late), { used: new Set([1]), revealed: true })
  })

  claim('a secret is created once, kept, rotated with overlap and retired', async (store, reopen) => {
    const [first] = await store.secrets('ticket')
    assert.equal(first?.length, 32)
    assert.notDeepEqual(await store.secrets('auth-token'), [first])
    const again = await reopen()
    assert.deepEqual(await again.secrets('ticket'), [first])
    await again.rotateSecret('ticket', NOW, NOW)
    const both = await again.secrets('ticket')
    assert.equal(both.length, 2)
    assert.deepEqual(both[1], first)
    await again.retireSecrets('ticket', NOW - 1, NOW)
    assert.equal((await again.secrets('ticket')).length, 2)
    await again.retireSecrets('ticket', NOW, NOW)
    assert.deepEqual(await again.secrets('ticket'), [both[0]])
  })

  claim('every state of a ticket is stored with its reason and figures', async (store, reopen) => {
    const states: TicketState[] = [
      { kind: 'open', reason: 'underfunded' },
      { kind: 'submitted', txHash: null },
      { kind: 'submitted', txHash: `0x${'ab'.repeat(32)}` },
      { kind: 'redeemed', txHash: `0x${'cd'.repeat(32)}`, paid: 10n ** 16n, fee: 21_000n, block: 100n },
      { kind: 'redeemed', txHash: null, paid: null, fee: null, block: 90n },
      { kind: 'refused', reason: 'expired' },
    ]
    const tickets = states.map((_, i) => wonTicket(i))
    await store.addTickets(tickets, NOW)
    for (const [i, state] of states.entries()) {
      await store.saveTicketState(ticketHash(tickets[i]!), state, NOW)
    }
    assert.deepEqual(await store.addTickets([...tickets, wonTicket(99)], NOW + 1), [wonTicket(99)])
    await store.saveTicketState(ticketHash(wonTicket(99)), { kind: 'refused', reason: 'invalid' }, NOW)
    const again = await reopen()
    const unfinished = (await Array.fromAsync(again.unfinishedTickets())).flat()
    assert.deepEqual(
      unfinished.map(({ ticket, state }) => [ticket.senderNonce, state]).sort(),
      states.slice(0, 3).map((state, i) => [i, state]),
    )
    assert.deepEqual(
      (await again.redeemedSince(91n)).map(({ state }) => state),
      [states[3]],
    )
    assert.equal((await again.redeemedSince(90n)).length, 2)
    assert.deepEqual(await again.countTickets(), [
      { state: 'open', reason: 'underfunded', count: 1, faceValue: 10n ** 16n, paid: 0n },
      { state: 'redeemed', reason: '', count: 2, faceValue: 2n * 10n ** 16n + 7n, paid: 10n ** 16n },
      { state: 'refused', reason: 'expired', count: 1, faceValue: 10n ** 16n + 5n, paid: 0n },
      { state: 'refused', reason: 'invalid', count: 1, faceValue: 10n ** 16n + 99n, paid: 0n },
      { state: 'submitted', reason: '', count: 2, faceValue: 2n * 10n ** 16n + 3n, paid: 0n },
    ])
  })

  claim('unfinished tickets are returned in pages, without known ones', async (store) => {
    const tickets = Array.from({ length: 600 }, (_, i) => wonTicket(i))
    await store.addTickets(tickets, NOW)
    await store.saveTicketState(ticketHash(tickets[0]!), { kind: 'refused', reason: 'expired' }, NOW)
    await store.saveTicketState(ticketHash(tickets[1]!), { kind: 'submitted', txHash: null }, NOW)
    await store.saveTicketState(ticketHash(tickets[2]!), { kind: 'delivered' }, NOW)
    const pages = await Array.fromAsync(store.unfinishedTickets())
    assert.ok(pages.every(({ length }) => length <= 100))
    const nonces = (all: typeof pages) => all.flat().map(({ ticket }) => ticket.senderNonce)
    assert.deepEqual(
      nonces(pages).toSorted((a, b) => a - b),
      tickets.slice(1).map((_, i) => i + 1),
    )
    const known = new Set(pages.flat().map(({ hash }) => formatHex(hash)))
    known.delete(formatHex(ticketHash(tickets[7]!)))
    known.delete(formatHex(ticketHash(tickets[2]!)))
    const unknown = await Array.fromAsync(store.unfinishedTickets((hash) => known.has(hash)))
    assert.deepEqual(nonces(unknown), [7, 2])
  })

  claim('ticket totals are updated with each change, without reading all tickets', async (store, reopen) => {
    const tickets = Array.from({ length: 40 }, (_, i) => wonTicket(i))
    const states: TicketState[] = [
      NEW_TICKET,
      { kind: 'open', reason: 'underfunded' },
      { kind: 'submitted', txHash: null },
      { kind: 'redeemed', txHash: null, paid: 3n * 10n ** 18n, fee: null, block: 7n },
      { kind: 'redeemed', txHash: null, paid: null, fee: null, block: 8n },
      { kind: 'refused', reason: 'expired' },
    ]
    const dice = seededDice('counted')
    const now = new Map<number, TicketState>()
    await store.recordPayment(paymentRecord({ nonces: [1], winners: tickets.slice(0, 30) }))
    await store.addTickets(tickets.slice(20), NOW)
    for (const i of tickets.keys()) now.set(i, NEW_TICKET)
    await Promise.all(
      Array.from({ length: 200 }, () => {
        const i = Math.floor(dice.fraction() * tickets.length)
        const state = states[Math.floor(dice.fraction() * states.length)]!
        now.set(i, state)
        return store.saveTicketState(ticketHash(tickets[i]!), state, NOW)
      }),
    )
    await store.saveTicketState(new Uint8Array(32), { kind: 'refused', reason: 'invalid' }, NOW)
    const expected = new Map<string, { count: number; faceValue: bigint; paid: bigint }>()
    for (const [i, state] of now) {
      const key = `${state.kind}/${reasonOf(state)}`
      const { count, faceValue, paid } = expected.get(key) ?? { count: 0, faceValue: 0n, paid: 0n }
      expected.set(key, {
        count: count + 1,
        faceValue: faceValue + tickets[i]!.faceValue,
        paid: paid + (state.kind === 'redeemed' ? (state.paid ?? 0n) : 0n),
      })
    }
    const figures = async (counting: Store) =>
      new Map(
        (await counting.countTickets()).map(({ state, reason, ...rest }) => [`${state}/${reason}`, rest]),
      )
    assert.deepEqual(await figures(store), expected)
    assert.deepEqual(await figures(await reopen()), expected)
  })

  claim(
    'a store that belongs to one chain is refused for another, with an explanation',
    async (store, reopen) => {
      await store.bindChain(42161n)
      const again = await reopen()
      await again.bindChain(42161n)
      await assert.rejects(
        again.bindChain(0n),
        (error) =>
          error instanceof NodeError &&
          error.code === 'wrong-chain' &&
          /^expecting chainID of 42161, but got 0: the data in .* belongs to another chain/.test(
            error.message,
          ),
      )
    },
  )

  claim('transactions are stored by account and nonce, with every attempt', async (store, reopen) => {
    const transaction = {
      account: ALICE,
      nonce: 7,
      purpose: 'redeem 0x01',
      to: BOB,
      data: '0x01020304',
      value: 2n ** 200n,
      gas: 350_000n,
      attempts: [{ hash: '0xaa', maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 0n, sentAtMs: NOW }],
      state: 'open',
    } as const
    await store.saveTransaction({ ...transaction, attempts: [] }, NOW)
    await store.saveTransaction(transaction, NOW)
    await store.saveTransaction({ ...transaction, nonce: 6 }, NOW)
    await store.saveTransaction({ ...transaction, nonce: 5, state: 'mined', fee: 7n }, NOW)
    await store.saveTransaction({ ...transaction, account: BOB }, NOW)
    const again = await reopen()
    assert.deepEqual(await again.openTransactions(ALICE), [{ ...transaction, nonce: 6 }, transaction])
    const mined = { ...transaction, nonce: 5, state: 'mined', fee: 7n } as const
    await again.saveTransaction({ ...mined, nonce: 4 }, NOW - 86_400_000)
    assert.deepEqual(await again.minedTransactions(ALICE, NOW, 10), [mined])
    assert.deepEqual(await again.minedTransactions(ALICE, NOW - 86_400_000, 1), [mined])
    assert.deepEqual(await again.minedTransactions(BOB, 0, 10), [])
  })

  claim('the cursor is kept', async (store, reopen) => {
    assert.equal(await store.records.loadCursor(), null)
    await store.records.saveCursor('{"block":"1"}')
    await store.records.saveCursor('{"block":"2"}')
    const again = await reopen()
    assert.equal(await again.records.loadCursor(), '{"block":"2"}')
  })

  if (!shared) return

  test(`${name}: two processes that share it never lose each other’s credit nor accept a nonce twice`, async () => {
    const location = await newPlace()
    const stores = [new Store({ ...options, location }), new Store({ ...options, location })]
    await Promise.all(stores.map((store) => store.open()))
    try {
      const secrets = await Promise.all(stores.map((store) => store.secrets('ticket')))
      assert.deepEqual(secrets[0], secrets[1])
      const answers = await Promise.all(
        stores.flatMap((store, s) =>
          Array.from({ length: 40 }, (_, i) =>
            store.recordPayment(
              paymentRecord({
                sessionId: `s${(i * (s + 1)) % 4}`,
                nonces: [i],
                credit: Rational.one,
                winners: [wonTicket(i)],
              }),
            ),
          ),
        ),
      )
      assert.equal(answers.filter((answer) => answer !== null).length, 40)
      const balances = await Promise.all([0, 1, 2, 3].map((i) => stores[0]!.sessions.balance(ALICE, `s${i}`)))
      assert.deepEqual(
        balances.reduce((sum, amount) => sum.add(amount), Rational.zero),
        Rational.of(40n),
      )
      assert.equal((await Array.fromAsync(stores[1]!.unfinishedTickets())).flat().length, 40)
      const counted = await stores[1]!.countTickets()
      assert.deepEqual(
        counted.map(({ state, count }) => [state, count]),
        [['open', 40]],
      )
    } finally {
      await Promise.all(stores.map((store) => store.close()))
    }
  })
}
