import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CONFIRMATIONS } from '../../src/domain/chain.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { Store } from '../../src/io/store/store.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import { ManualClock, settle } from '../../src/lib/clock.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { type Service, Supervisor } from '../../src/lib/service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import type { WaitingTicket } from '../../src/services/redemption/waiting-tickets.ts'
import { FakeChain } from '../fakes/chain.ts'
import type { EventHandlers } from '../fakes/events.ts'
import { FakePayer } from '../fakes/payer.ts'

/** Whom all tickets of these worlds pay. */
export const ORCHESTRATOR = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
export const ETHER = 10n ** 18n
/** L1 blocks in a round. */
export const ROUND = 50n
/** Blocks after which a redemption in the next one is confirmed. */
export const CONFIRMED = Number(CONFIRMATIONS) + 2

/** A service that keeps winning tickets until they are redeemed. */
export interface Keeper extends Service {
  adopt(tickets: readonly WinningTicket[]): void
  waiting(most?: number): WaitingTicket[]
  firstExpiries(): Map<string, bigint>
  readonly openTickets: number
}

/** What a node of these worlds is made of. */
export interface NodeParts {
  readonly chain: FakeChain
  readonly watch: FakeChain
  readonly clock: ManualClock
  readonly log: Log
  readonly tickets: Store
  readonly rounds: Rounds
  readonly senders: Senders
}

/** What a test counts as having happened. */
export type Happened = string[]

/** Events of a keeper, noted in words. */
export function noting(happened: Happened): EventHandlers {
  return {
    'ticket-won': () => void happened.push('won'),
    'ticket-redeemed': ({ paid }) => void happened.push(`redeemed ${paid}`),
    'ticket-refused': ({ reason }) => void happened.push(`refused ${reason}`),
  }
}

/** A chain, a store and a node with a keeper of winning tickets, which can be restarted. */
export async function winnersWorld<Node extends { readonly keeper: Keeper }>(
  t: TestContext,
  /** Makes the keeper and the services that start before it. */
  build: (parts: NodeParts) => Node & { readonly before?: readonly Service[] },
  clock = new ManualClock(),
) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-winners-'))
  const chain = new FakeChain({ roundLength: ROUND })
  const gateway = new FakePayer('gateway')
  chain.fund(gateway.address, 1000n * ETHER, 1000n * ETHER)
  chain.mine()
  const store = new Store({ location: join(folder, 'node.sqlite3') })
  await store.open()
  let nonce = 0
  const parts = (): NodeParts => {
    const needs = { chain, watch: chain, clock, log: silentLog }
    const rounds = new Rounds(needs)
    const senders = new Senders({ claimant: ORCHESTRATOR }, { ...needs, rounds })
    return { ...needs, tickets: store, rounds, senders }
  }
  const start = async () => {
    const supervisor = new Supervisor()
    const needs = parts()
    const { rounds, senders } = needs
    const built = build(needs)
    for (const service of [rounds, senders, ...(built.before ?? []), built.keeper]) {
      await supervisor.start(service)
    }
    return { ...built, rounds, senders, stop: () => supervisor.stop() }
  }
  let node = await start()
  t.after(async () => {
    await node.stop()
    await store.close()
    rmSync(folder, { recursive: true })
  })
  /** Lets everything run that can, without time passing. */
  const rest = async () => {
    for (let i = 0; i < 30; i++) await settle()
  }
  /** A winning ticket of the present round, whose params expire in `lifetime` blocks. */
  const won = async (fields: Partial<WinningTicket> & { lifetime?: number } = {}): Promise<WinningTicket> => {
    const { lastInitialized, blockHash } = await chain.roundState()
    const { lifetime = 0, ...rest } = fields
    return {
      recipient: ORCHESTRATOR,
      sender: gateway.address,
      faceValue: ETHER,
      winProb: 1n,
      senderNonce: ++nonce,
      recipientRandHash: new Uint8Array(32).fill(1),
      recipientRand: 1n,
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
      paramsExpirationBlock: chain.head.l1Block + BigInt(lifetime),
      sig: new Uint8Array(65),
      ...rest,
    }
  }
  return {
    ...{ chain, clock, gateway, store, parts, rest, won },
    get node() {
      return node
    },
    stop: () => node.stop(),
    /** Starts it anew, `pauseMs` after it stopped. */
    async restart(pauseMs = 0) {
      await node.stop()
      await clock.wind(pauseMs)
      node = await start()
      await rest()
    },
    async pass(ms: number) {
      await clock.wind(ms)
      await rest()
    },
    /** Mines blocks, with time passing between them. */
    async mine(blocks = 1, msEach = 1_000) {
      for (let i = 0; i < blocks; i++) {
        chain.mine()
        await rest()
        await clock.wind(msEach)
        await rest()
      }
    },
    /** Wins a ticket: it is on disk, and the keeper has heard of it. */
    async win(fields: Parameters<typeof won>[0] = {}): Promise<WinningTicket> {
      const ticket = await won(fields)
      node.keeper.adopt(await store.addTickets([ticket], clock.now()))
      await rest()
      return ticket
    },
    /** How many tickets the disk has, by state and reason. */
    async counts(): Promise<Record<string, number>> {
      const counts = await store.countTickets()
      return Object.fromEntries(
        counts.map(({ state, reason, count }) => [`${state} ${reason}`.trim(), count]),
      )
    },
  }
}

/** A world with more in it; spreading it would stop `node` from being the present one. */
export function extend<World extends object, More extends object>(world: World, more: More): World & More {
  return Object.defineProperties(world, Object.getOwnPropertyDescriptors(more)) as World & More
}

/** The hash of a ticket as text. */
export const idOf = (ticket: WinningTicket): Hex => formatHex(ticketHash(ticket))

/** A world for the suite. */
export type SuiteWorld = Awaited<ReturnType<typeof winnersWorld<{ readonly keeper: Keeper }>>> & {
  readonly happened: Happened
  /** Tickets that were acted upon, with success or not, as often and in the order in which they were. */
  readonly tried: Hex[]
  /** Makes every attempt fail from now on, or none. */
  block(isBlocked: boolean): void
}

/**
 * What every keeper of winning tickets must show. In its world a ticket that is acted upon is redeemed in the next
 * block.
 */
export function testWinners(name: string, world: (t: TestContext) => Promise<SuiteWorld>): void {
  const redeemedIn = ({ happened }: SuiteWorld) => happened.filter((event) => event.startsWith('redeemed'))

  test(`${name}: a ticket that was written down and never announced is found at the next start`, async (t) => {
    const w = await world(t)
    const ticket = await w.won()
    await w.store.addTickets([ticket], w.clock.now())
    await w.restart()
    await w.mine(2 + CONFIRMED)
    assert.deepEqual([...w.chain.redemptions], [[idOf(ticket), [ETHER]]])
    assert.deepEqual(await w.counts(), { redeemed: 1 })
    assert.deepEqual(redeemedIn(w), [`redeemed ${ETHER}`])
  })

  for (const isWritten of [false, true]) {
    const when = isWritten ? 'right after' : 'right before'
    for (let write = 1; write <= 4; write++) {
      test(`${name}: a crash ${when} write ${write} of a ticket's state loses nothing and redeems nothing twice`, async (t) => {
        const w = await world(t)
        const save = w.store.saveTicketState.bind(w.store)
        let writes = 0
        w.store.saveTicketState = async (...state) => {
          if (++writes < write) return save(...state)
          if (writes === write && isWritten) await save(...state)
          // A dead process does nothing any more.
          w.block(true)
          throw new Error('the process died')
        }
        const ticket = await w.win({ lifetime: 2 })
        for (let i = 0; i < CONFIRMED + 5 && writes < write; i++) await w.mine()
        w.store.saveTicketState = save
        await w.restart()
        w.block(false)
        // A redemption that was announced before the crash may be found only when the ticket expires.
        for (let i = 0; i < 3 * Number(ROUND) && w.node.keeper.openTickets > 0; i++) await w.mine(1, 5_000)
        assert.deepEqual([...w.chain.redemptions], [[idOf(ticket), [ETHER]]])
        assert.deepEqual(w.chain.reverts, [])
        assert.deepEqual(await w.counts(), { redeemed: 1 })
        assert.deepEqual([w.node.keeper.openTickets, w.node.senders.pending(w.gateway.address)], [0, 0n])
      })
    }
  }

  test(`${name}: a state that cannot be written down is not believed; once the disk works again it is`, async (t) => {
    const w = await world(t)
    const save = w.store.saveTicketState.bind(w.store)
    w.store.saveTicketState = async () => {
      throw new Error('disk full')
    }
    const ticket = await w.win()
    await w.mine(2 + CONFIRMED)
    const states = w.node.keeper.waiting().map(({ hash, state }) => [hash, state])
    assert.deepEqual(states, [[idOf(ticket), { kind: 'open', reason: 'params-live' }]])
    assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
    assert.deepEqual(redeemedIn(w), [])
    w.store.saveTicketState = save
    await w.mine(CONFIRMED + 2, 30_000)
    assert.deepEqual(await w.counts(), { redeemed: 1 })
    assert.deepEqual([...w.chain.redemptions.values()], [[ETHER]])
  })

  test(`${name}: attempts that fail are repeated ever more rarely, and near the expiry every ten seconds`, async (t) => {
    const w = await world(t)
    w.block(true)
    const tries: number[] = []
    const watch = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        if (w.tried.splice(0).length > 0) tries.push(second)
        await w.pass(1_000)
      }
    }
    await w.win()
    await watch(700)
    assert.deepEqual(tries, [0, 5, 15, 35, 75, 155, 315, 615])
    while (w.chain.head.l1Block < 1_000n + 2n * ROUND - ROUND / 3n) await w.mine(1, 0)
    tries.length = 0
    await watch(100)
    assert.ok(tries.length >= 10, `${tries}`)
    w.block(false)
    await w.pass(10_000)
    await w.mine(CONFIRMED)
    assert.deepEqual(await w.counts(), { redeemed: 1 })
  })

  test(`${name}: a ticket expires once that is confirmed, and is refused with its reason, once`, async (t) => {
    const w = await world(t)
    w.block(true)
    await w.win()
    await w.mine(15)
    w.chain.l1Ahead = 5n * ROUND
    await w.mine(8, 30_000)
    w.chain.l1Ahead = 0n
    await w.mine(5)
    assert.equal(w.node.keeper.openTickets, 1)
    const [expiry] = w.node.keeper.firstExpiries().values()
    assert.equal(expiry, 1_000n + 2n * ROUND)
    while (w.chain.head.l1Block < expiry! + CONFIRMATIONS - 1n) await w.mine(1, 10_000)
    assert.equal(w.node.keeper.openTickets, 1)
    await w.mine(30, 10_000)
    assert.deepEqual(await w.counts(), { 'refused expired': 1 })
    assert.deepEqual(
      w.happened.filter((event) => event.startsWith('refused')),
      ['refused expired'],
    )
    assert.deepEqual([w.node.keeper.openTickets, w.node.senders.pending(w.gateway.address)], [0, 0n])
    await w.restart()
    assert.equal(w.node.keeper.openTickets, 0)
  })

  test(`${name}: what expires first comes first, and of that what pays most`, async (t) => {
    const w = await world(t)
    w.block(true)
    const old = await w.won({ faceValue: ETHER })
    const oldAndLarge = await w.won({ faceValue: 2n * ETHER })
    await w.mine(Number(ROUND))
    const young = await w.won({ faceValue: 3n * ETHER })
    const youngAndLarge = await w.won({ faceValue: 4n * ETHER })
    const order = [oldAndLarge, old, youngAndLarge, young].map(idOf)
    w.node.keeper.adopt(await w.store.addTickets([young, old, youngAndLarge, oldAndLarge], w.clock.now()))
    await w.rest()
    assert.deepEqual(
      w.node.keeper.waiting().map(({ hash }) => hash),
      order,
    )
    assert.deepEqual(
      w.node.keeper.waiting(3).map(({ hash }) => hash),
      order.slice(0, 3),
    )
    assert.deepEqual(w.tried.splice(0), order)
    await w.restart()
    assert.deepEqual(w.tried.splice(0), order)
  })

  test(`${name}: after a restart all open tickets of all senders are there, as they were`, async (t) => {
    const w = await world(t)
    w.block(true)
    const other = new FakePayer('other')
    w.chain.fund(other.address, 10n * ETHER)
    await w.win()
    await w.mine(Number(ROUND))
    await w.win({ sender: other.address, faceValue: 2n * ETHER })
    await w.win({ sender: other.address })
    const before = [w.node.keeper.waiting(), w.node.keeper.firstExpiries()]
    await w.restart()
    assert.deepEqual([w.node.keeper.waiting(), w.node.keeper.firstExpiries()], before)
    assert.equal(w.node.keeper.openTickets, 3)
    assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
    assert.equal(w.node.senders.pending(other.address), 3n * ETHER)
    w.block(false)
    await w.pass(300_000)
    await w.mine(CONFIRMED)
    assert.deepEqual(await w.counts(), { redeemed: 3 })
    assert.equal(w.node.senders.pending(other.address), 0n)
  })

  test(`${name}: a ticket that is won twice counts once`, async (t) => {
    const w = await world(t)
    const ticket = await w.won()
    for (let i = 0; i < 2; i++) {
      w.node.keeper.adopt(await w.store.addTickets([ticket], w.clock.now()))
      await w.mine(2)
    }
    assert.equal(w.node.senders.pending(w.gateway.address), ETHER)
    await w.mine(CONFIRMED)
    assert.deepEqual(
      w.happened.filter((event) => event === 'won'),
      ['won'],
    )
    assert.deepEqual(redeemedIn(w), [`redeemed ${ETHER}`])
  })
}
