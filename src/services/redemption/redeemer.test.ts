import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FakeChain } from '../../../test/fakes/chain.ts'
import { eventsTo } from '../../../test/fakes/events.ts'
import { FakePayer } from '../../../test/fakes/payer.ts'
import {
  CONFIRMED,
  ETHER,
  extend,
  idOf,
  noting,
  ROUND,
  testWinners,
  winnersWorld,
} from '../../../test/suites/winners.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { TicketBoard } from '../../io/store/ticket-board.ts'
import { formatHex } from '../../lib/bytes.ts'
import { keccak256, signHash } from '../../lib/crypto.ts'
import { Redeemer } from './redeemer.ts'

async function world(t: TestContext, options: { afterMs?: number } = {}) {
  const happened: string[] = []
  const undone: (bigint | null)[] = []
  const w = await winnersWorld(t, (parts) => {
    const needs = {
      ...{ ...parts, nonces: parts.tickets, gas: parts.chain },
      events: eventsTo({
        ...noting(happened),
        'ticket-reopened': ({ paid }) => {
          happened.push('reopened')
          undone.push(paid)
        },
        'redemption-failed': ({ reason }) => void happened.push(`failed ${reason}`),
      }),
    }
    const redeemer = new Redeemer(needs, options)
    return { keeper: redeemer, redeemer }
  })
  return extend(w, {
    happened,
    undone,
    stateOf: async (ticket: WinningTicket) => {
      const waiting = w.node.redeemer.waiting().find(({ hash }) => hash === idOf(ticket))
      if (waiting) return waiting.state
      const done = await w.store.redeemedSince(0n)
      return done.find(({ hash }) => formatHex(hash) === idOf(ticket))?.state ?? { kind: 'refused' }
    },
  })
}

testWinners('redeemer', async (t) => {
  const w = await world(t)
  const tried: ReturnType<typeof idOf>[] = []
  let isBlocked = false
  const { simulate } = w.chain
  w.chain.simulate = async (ticket) => {
    tried.push(idOf(ticket))
    return isBlocked ? { kind: 'reverts', reason: 'system is paused' } : simulate.call(w.chain, ticket)
  }
  return extend(w, {
    tried,
    block(blocked: boolean) {
      isBlocked = blocked
    },
  })
})

const reasonOf = (state: { kind: string; reason?: string }) => `${state.kind} ${state.reason ?? ''}`.trim()

test('a ticket is redeemed once its params have expired, and what it paid is kept', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ lifetime: 3 })
  await w.node.redeemer.queue(ticket)
  await w.mine(2)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open params-live')
  assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
  await w.mine(2)
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
  await w.mine(CONFIRMED)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.paid === ETHER && state.fee! > 0n && state.txHash)
  assert.deepEqual(w.happened, ['won', `redeemed ${ETHER}`])
  assert.equal(w.node.senders.pending(w.gateway.address), 0n)
})

test('a watchtower redeems what another redeemer has left, and nothing that it has redeemed', async (t) => {
  const w = await world(t, { afterMs: 60_000 })
  const [taken, left] = [await w.won(), await w.won()]
  for (const ticket of [taken, left]) await w.node.redeemer.queue(ticket)
  await w.mine(4)
  assert.equal(w.chain.redemptions.size, 0)
  w.chain.redeemFromElsewhere(taken)
  await w.mine(CONFIRMED)
  assert.equal((await w.stateOf(taken)).kind, 'redeemed')
  assert.equal((await w.stateOf(left)).kind, 'open')
  await w.pass(60_000)
  await w.mine(CONFIRMED)
  assert.equal((await w.stateOf(left)).kind, 'redeemed')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER], [ETHER]])
})

test('a ticket that failed is retried at once when an operator asks, and its story says why it failed', async (t) => {
  const w = await world(t)
  const { simulate } = w.chain
  w.chain.simulate = async () => ({ kind: 'reverts', reason: 'system is paused' })
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(2)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open chain-refuses')
  w.chain.simulate = simulate
  await w.rest()
  assert.equal(w.chain.redemptions.size, 0)
  assert.equal(w.node.redeemer.retryTicket(idOf(ticket)), true)
  await w.rest()
  await w.mine(1)
  assert.equal(w.chain.redemptions.size, 1)
  assert.equal(w.node.redeemer.retryTicket('0x01'), false)
  const story = await new TicketBoard(w.store).story(idOf(ticket))
  assert.deepEqual(story?.origin.source, 'handedIn')
  assert.deepEqual(
    story.facts.slice(0, 2).map(({ says, state }) => [state.kind, says]),
    [
      ['open', 'system is paused'],
      ['submitted', undefined],
    ],
  )
})

test('a ticket that is queued twice counts once, also after it was redeemed', async (t) => {
  const w = await world(t)
  const ticket = await w.won()
  await Promise.all([w.node.redeemer.queue(ticket), w.node.redeemer.queue(ticket)])
  await w.mine(CONFIRMED)
  await w.node.redeemer.queue(ticket)
  await w.mine(CONFIRMED)
  assert.deepEqual(w.happened, ['won', `redeemed ${ETHER}`])
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
})

test('a ticket that cannot be redeemed does not hold up the others, of its sender or of any', async (t) => {
  const w = await world(t)
  const stuck = await w.won({
    expirationParams: { creationRound: 10n, creationRoundBlockHash: new Uint8Array(32) },
  })
  const others = await Promise.all([w.won(), w.won(), w.won()])
  for (const ticket of [stuck, ...others]) await w.node.redeemer.queue(ticket)
  await w.mine(2)
  assert.equal(reasonOf(await w.stateOf(stuck)), 'open chain-refuses')
  assert.equal(w.chain.redemptions.size, 3)
})

test('all open tickets of all senders are taken up again after a restart', async (t) => {
  const w = await world(t)
  const absent = new FakePayer('absent')
  w.chain.fund(absent.address, 10n * ETHER)
  await w.node.redeemer.queue(await w.won({ lifetime: 5, sender: absent.address }))
  await w.restart()
  assert.equal(w.node.senders.pending(absent.address), ETHER)
  await w.mine(7)
  assert.equal(w.chain.redemptions.size, 1)
})

test('a ticket that another process wrote down is found, and one that ends meanwhile ends once', async (t) => {
  const w = await world(t)
  await w.store.addTickets([await w.won()], w.clock.now())
  const own = await w.won()
  const reading = w.store.unfinishedTickets.bind(w.store)
  w.store.unfinishedTickets = async function* () {
    const seen = await Array.fromAsync(reading())
    w.chain.mine()
    await w.rest()
    yield* seen
  }
  await w.clock.wind(59_000)
  await w.node.redeemer.queue(own)
  await w.rest()
  await w.clock.wind(1_000)
  await w.rest()
  await w.rest()
  await w.mine(CONFIRMED)
  assert.equal(w.chain.redemptions.size, 2)
  assert.equal(w.happened.filter((event) => event.startsWith('redeemed')).length, 2)
})

test('a ticket that another process wrote down is found soon after the store could not be read', async (t) => {
  const w = await world(t)
  await w.store.addTickets([await w.won()], w.clock.now())
  const reading = w.store.unfinishedTickets.bind(w.store)
  let faults = 3
  w.store.unfinishedTickets = async function* () {
    if (faults-- > 0) throw new Error('the store is away')
    yield* reading()
  }
  w.node.redeemer.lookForTickets()
  await w.clock.wind(4_000)
  await w.rest()
  await w.mine(3)
  assert.equal(w.chain.redemptions.size, 1)
})

test('an underfunded ticket is kept until its sender is funded, and then redeemed at once', async (t) => {
  const w = await world(t)
  w.chain.setSender(w.gateway.address, { deposit: 1n, fundsRemaining: 0n })
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(10)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open underfunded')
  w.chain.fund(w.gateway.address, ETHER)
  await w.mine(2, 0)
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
})

test('only at the last chance a ticket is redeemed for less than its face value', async (t) => {
  const w = await world(t)
  const half = ETHER / 2n
  w.chain.setSender(w.gateway.address, { deposit: half, fundsRemaining: 0n })
  const ticket = await w.won()
  const { creationRound } = ticket.expirationParams
  await w.node.redeemer.queue(ticket)
  const lastChance = 1_000n + (creationRound - 10n + 2n) * ROUND - ROUND / 3n
  while (w.chain.head.l1Block < lastChance - 1n) await w.mine()
  assert.equal(w.chain.redemptions.size, 0)
  await w.mine(15)
  assert.deepEqual([...w.chain.redemptions.values()], [[half]])
  await w.mine(CONFIRMED)
  assert.equal(w.happened.at(-1), `redeemed ${half}`)
})

test('a ticket that never pays its gas is refused with that reason when it expires', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ faceValue: 1_000n })
  await w.node.redeemer.queue(ticket)
  await w.mine(3)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open not-worth-gas')
  await w.mine(110 + CONFIRMED, 5_000)
  assert.deepEqual(w.happened, ['won', 'refused not-worth-gas'])
  assert.equal(w.node.senders.pending(w.gateway.address), 0n)
  const [count] = await w.store.countTickets()
  assert.deepEqual([count?.state, count?.reason], ['refused', 'not-worth-gas'])
})

test('a gas price above the operator’s limit makes tickets wait until it falls', async (t) => {
  const w = await world(t)
  w.chain.maxGasPrice = w.chain.gasPrice - 1n
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(2)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open gas-too-high')
  w.chain.maxGasPrice = 0n
  await w.mine(20 + CONFIRMED)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
})

test('tickets that a sender’s deposit does not cover together go one after the other, each paid in full or kept', async (t) => {
  const w = await world(t)
  w.chain.setSender(w.gateway.address, { deposit: 2n * ETHER, fundsRemaining: 0n })
  const tickets = await Promise.all(Array.from({ length: 4 }, () => w.won({ faceValue: (3n * ETHER) / 4n })))
  for (const ticket of tickets) await w.node.redeemer.queue(ticket)
  await w.mine(30 + CONFIRMED)
  const paid = [...w.chain.redemptions.values()].flat()
  assert.deepEqual(paid, [(3n * ETHER) / 4n, (3n * ETHER) / 4n])
  const reasons = await Promise.all(tickets.map(async (ticket) => reasonOf(await w.stateOf(ticket))))
  assert.deepEqual(reasons.sort(), ['open underfunded', 'open underfunded', 'redeemed', 'redeemed'])
})

test('a ticket is not sent before the disk says that it is', async (t) => {
  const w = await world(t)
  const save = w.store.saveTicketState.bind(w.store)
  w.store.saveTicketState = async () => {
    throw new Error('disk full')
  }
  await w.win()
  await w.mine(5, 10_000)
  assert.equal(w.chain.redemptions.size, 0)
  assert.equal(w.happened.at(-1), 'failed disk full')
  w.store.saveTicketState = save
  await w.mine(1, 30_000)
  await w.mine(1)
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
})

test('many tickets are on their way at the same time', async (t) => {
  const w = await world(t)
  w.chain.includesNothing = true
  for (let i = 0; i < 20; i++) await w.node.redeemer.queue(await w.won())
  await w.mine(2)
  const submitted = w.node.redeemer.waiting().filter(({ state }) => state.kind === 'submitted')
  assert.equal(submitted.length, 20)
  w.chain.includesNothing = false
  await w.mine(CONFIRMED)
  assert.equal(w.node.redeemer.waiting().length, 0)
})

test('a ticket whose transaction was under way at a restart is not sent again', async (t) => {
  const w = await world(t)
  w.chain.includesNothing = true
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(1)
  await w.restart()
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
  w.chain.includesNothing = false
  await w.mine(CONFIRMED)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.paid === ETHER)
  assert.deepEqual(w.chain.reverts, [])
})

test('a transaction that was mined while the node was down is found with its figures', async (t) => {
  const w = await world(t)
  w.chain.includesNothing = true
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(1)
  await w.node.stop()
  w.chain.includesNothing = false
  w.chain.mine()
  await w.restart()
  await w.mine(CONFIRMED)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.paid === ETHER && state.fee! > 0n && state.txHash)
})

test('a ticket that another account redeemed counts as redeemed, with what it paid', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ lifetime: 3 })
  await w.node.redeemer.queue(ticket)
  w.chain.redeemFromElsewhere(ticket)
  await w.mine(CONFIRMED)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.paid === ETHER && state.fee === null)
  assert.deepEqual(w.chain.reverts, [])
})

test('a redemption that was mined and failed is not a spent ticket: it is tried again', async (t) => {
  const w = await world(t)
  w.chain.includesNothing = true
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(1)
  w.chain.setSender(w.gateway.address, { withdrawRound: 1n })
  w.chain.includesNothing = false
  await w.mine(1)
  assert.deepEqual(w.chain.reverts, ['sender is unlocked'])
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open reverted')
  w.chain.setSender(w.gateway.address, { withdrawRound: 0n })
  await w.mine(12 + CONFIRMED)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
})

test('a redemption that a short reorganisation moves or takes back is not counted before it is confirmed', async (t) => {
  const w = await world(t)
  const [lost, kept] = [await w.won(), await w.won()]
  await w.node.redeemer.queue(lost)
  await w.node.redeemer.queue(kept)
  await w.mine(8)
  assert.equal(w.chain.redemptions.size, 2)
  w.chain.reorganise(9, (ticket) => ticket.senderNonce === kept.senderNonce)
  await w.mine(30)
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER], [ETHER]])
  assert.deepEqual(w.happened, ['won', 'won', `redeemed ${ETHER}`, `redeemed ${ETHER}`])
})

test('a deep reorganisation that takes a redemption back opens the ticket again, once it is sure to be gone', async (t) => {
  const w = await world(t)
  const [lost, kept] = [await w.won(), await w.won()]
  await w.node.redeemer.queue(lost)
  await w.node.redeemer.queue(kept)
  await w.mine(CONFIRMED + 2)
  assert.equal(w.happened.filter((event) => event.startsWith('redeemed')).length, 2)
  w.chain.reorganise(CONFIRMED + 2, (ticket) => ticket.senderNonce === kept.senderNonce)
  await w.rest()
  await w.mine(CONFIRMED - 3)
  assert.ok(!w.happened.includes('reopened'))
  await w.mine(3)
  assert.equal(w.happened.filter((event) => event === 'reopened').length, 1)
  assert.deepEqual(w.undone, [ETHER], 'what it had paid is told')
  assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
  await w.mine(15 + CONFIRMED)
  for (const ticket of [lost, kept]) assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER], [ETHER]])
})

test('a redemption whose block is replaced before the node followed the chain to it is retried', async (t) => {
  const w = await world(t)
  const [ours, foreign] = [await w.won(), await w.won()]
  w.chain.stopWatching()
  w.chain.redeemFromElsewhere(foreign)
  w.chain.mine()
  await w.node.redeemer.queue(ours)
  await w.node.redeemer.queue(foreign)
  await w.rest()
  await w.mine()
  w.chain.reorganise(2, () => false)
  w.chain.watchAgain()
  await w.rest()
  await w.mine(15 + CONFIRMED)
  for (const ticket of [ours, foreign]) assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER], [ETHER]])
})

test('a reorganisation while the node was down is noticed after its start', async (t) => {
  const w = await world(t)
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(CONFIRMED)
  await w.node.stop()
  w.chain.reorganise(CONFIRMED + 1, () => false)
  await w.restart()
  await w.mine(CONFIRMED)
  assert.ok(w.happened.includes('reopened'))
  await w.mine(10 + CONFIRMED)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
})

test('an endpoint that calls tickets used for some blocks ends none of them', async (t) => {
  const w = await world(t)
  const tickets = [await w.won(), await w.won()]
  const { isTicketUsed, simulate } = w.chain
  w.chain.isTicketUsed = async () => true
  w.chain.simulate = async () => ({ kind: 'reverts', reason: 'execution reverted: ticket is used' })
  for (const ticket of tickets) await w.node.redeemer.queue(ticket)
  await w.mine(8, 5_000)
  for (const ticket of tickets) assert.equal(reasonOf(await w.stateOf(ticket)), 'open chain-refuses')
  Object.assign(w.chain, { isTicketUsed, simulate })
  await w.mine(20 + CONFIRMED, 5_000)
  for (const ticket of tickets) assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER], [ETHER]])
})

test('an endpoint that makes up receipts and events for some blocks ends no ticket', async (t) => {
  const w = await world(t)
  const ticket = await w.won()
  const { redeem, redemptionIn } = w.chain
  const made = { txHash: '0xabcd', paid: ETHER, fee: 1n, block: w.chain.head.number } as const
  w.chain.redeem = async () => ({ kind: 'mined', success: true, ...made })
  w.chain.redemptionIn = async () => ({ ...made, isLone: false })
  await w.node.redeemer.queue(ticket)
  await w.mine(8)
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
  Object.assign(w.chain, { redeem, redemptionIn })
  await w.mine(20 + CONFIRMED, 5_000)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.txHash !== made.txHash)
  assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
})

for (const [what, lie] of [
  [
    'the round',
    (chain: FakeChain) => {
      const { roundState } = chain
      chain.roundState = async () => {
        const state = await roundState.call(chain)
        return { ...state, lastInitialized: state.lastInitialized + 5n, current: state.current + 5n }
      }
      return () => Object.assign(chain, { roundState })
    },
  ],
  [
    'the L1 block',
    (chain: FakeChain) => {
      chain.l1Ahead = 5n * ROUND
      return () => {
        chain.l1Ahead = 0n
      }
    },
  ],
] as const) {
  test(`an endpoint that puts ${what} five rounds ahead for some blocks makes no ticket expire or be paid short`, async (t) => {
    const w = await world(t)
    const half = await w.won({ faceValue: 2_000n * ETHER })
    w.chain.setSender(w.gateway.address, { deposit: 1_000n * ETHER, fundsRemaining: 0n })
    await w.node.redeemer.queue(half)
    await w.mine(3)
    assert.equal(reasonOf(await w.stateOf(half)), 'open underfunded')
    const full = await w.won()
    const honest = lie(w.chain)
    await w.node.redeemer.queue(full)
    await w.restart()
    await w.mine(8, 60_000)
    honest()
    assert.equal(reasonOf(await w.stateOf(half)), 'open underfunded')
    await w.mine(10 + CONFIRMED, 60_000)
    w.chain.fund(w.gateway.address, 2_000n * ETHER)
    await w.mine(CONFIRMED, 5_000)
    for (const ticket of [half, full])
      assert.equal((await w.stateOf(ticket)).kind, 'redeemed', `${ticket.faceValue}`)
    assert.deepEqual([...w.chain.redemptions.values()].flat().sort(), [ETHER, 2_000n * ETHER])
  })
}

test('an endpoint that puts the L1 block ahead for long ends no ticket that another one calls valid', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ lifetime: 30 })
  w.chain.simulate = async () => ({ kind: 'reverts', reason: 'execution reverted: ticket is expired' })
  w.chain.l1Ahead = 5n * ROUND
  await w.node.redeemer.queue(ticket)
  await w.mine(40, 10_000)
  assert.equal((await w.stateOf(ticket)).kind, 'open')
  w.chain.l1Ahead = 0n
  await w.mine(80, 10_000)
  assert.equal(w.happened.at(-1), 'refused expired')
})

test('a redemption that one endpoint alone vouches for, the others being down, has to be twice as deep', async (t) => {
  const w = await world(t)
  const ticket = await w.won()
  const read = w.chain.redemptionIn.bind(w.chain)
  w.chain.redemptionIn = async (txHash, of) => {
    const found = await read(txHash, of)
    return found && { ...found, isLone: true }
  }
  await w.node.redeemer.queue(ticket)
  await w.mine(2 * CONFIRMED - 6, 10_000)
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
  await w.mine(20, 10_000)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
})

test('a ticket that another account redeemed while the node was down is found by searching', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ lifetime: 3 })
  await w.node.redeemer.queue(ticket)
  await w.node.stop()
  w.chain.redeemFromElsewhere(ticket)
  for (let i = 0; i < 20; i++) w.chain.mine()
  await w.restart()
  await w.mine(3)
  const state = await w.stateOf(ticket)
  assert.ok(state.kind === 'redeemed' && state.paid === ETHER && state.fee === null)
  assert.deepEqual(w.chain.reverts, [])
})

test('while the chain is away tickets wait, and are redeemed when it is back', async (t) => {
  const w = await world(t)
  const ticket = await w.won()
  w.chain.isDown = true
  await w.node.redeemer.queue(ticket)
  await w.clock.wind(60_000)
  await w.rest()
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open chain-unavailable')
  w.chain.recover()
  await w.mine(CONFIRMED, 0)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
})

test('a ticket that would expire before its params is redeemed early, and its secret number is revealed', async (t) => {
  const w = await world(t)
  const ticket = await w.won({ lifetime: 1_000 })
  await w.node.redeemer.queue(ticket)
  await w.mine(20)
  assert.equal((await w.store.noncesOf(ticket.recipientRandHash)).revealed, false)
  await w.mine(80)
  assert.equal((await w.stateOf(ticket)).kind, 'redeemed')
  assert.equal((await w.store.noncesOf(ticket.recipientRandHash)).revealed, true)
})

test('a ticket that the chain calls invalid is refused only if it is', async (t) => {
  const w = await world(t)
  const recipientRand = 7n
  const unsigned = await w.won({
    recipientRand,
    recipientRandHash: recipientRandHash(recipientRand),
    winProb: MAX_WIN_PROB,
  })
  const good = {
    ...unsigned,
    sig: signHash(keccak256(new TextEncoder().encode('gateway')), ticketHash(unsigned)),
  }
  const bad = await w.won()
  const { simulate } = w.chain
  w.chain.simulate = async () => ({ kind: 'reverts', reason: 'execution reverted: ticket did not win' })
  for (const ticket of [good, bad]) await w.node.redeemer.queue(ticket)
  await w.mine(8, 30_000)
  assert.equal(reasonOf(await w.stateOf(good)), 'open chain-refuses')
  assert.deepEqual(w.happened, ['won', 'won', 'refused invalid'])
  Object.assign(w.chain, { simulate })
  await w.mine(10 + CONFIRMED, 30_000)
  assert.equal((await w.stateOf(good)).kind, 'redeemed')
})

test('tickets that are simulated at the same moment go on their way together', async (t) => {
  const w = await world(t)
  const gate = Promise.withResolvers<void>()
  const { simulate } = w.chain
  w.chain.simulate = async (ticket) => {
    await gate.promise
    return simulate.call(w.chain, ticket)
  }
  const tickets = [await w.won(), await w.won(), await w.won()]
  for (const ticket of tickets) await w.node.redeemer.queue(ticket)
  await w.rest()
  gate.resolve()
  await w.rest()
  for (const ticket of tickets) assert.equal((await w.stateOf(ticket)).kind, 'submitted')
})

test('a ticket that the account cannot pay for waits for ether, and is redeemed at once when there is some', async (t) => {
  const w = await world(t)
  let hasEther = false
  const redeem = w.chain.redeem.bind(w.chain)
  w.chain.redeem = async (...args) =>
    hasEther ? redeem(...args) : { kind: 'not-sent', why: 'no-ether', reason: 'insufficient funds for gas' }
  const ticket = await w.won()
  await w.node.redeemer.queue(ticket)
  await w.mine(2)
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open no-ether')
  await w.restart()
  assert.equal(reasonOf(await w.stateOf(ticket)), 'open no-ether', 'also after a restart')
  hasEther = true
  w.node.redeemer.funded()
  await w.rest()
  assert.equal((await w.stateOf(ticket)).kind, 'submitted')
})
