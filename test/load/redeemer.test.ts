import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Store } from '../../src/io/store/store.ts'
import { ManualClock, settle } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { FakeChain } from '../fakes/chain.ts'
import { eventsTo } from '../fakes/events.ts'
import { wonTicket } from '../suites/store.ts'
import { longestTurn } from '../tools/longest-turn.ts'

const TICKETS = 100_000
/** CPU time that finds a turn which goes through all tickets; the figures that are printed are a tenth of it. */
const LONGEST_TURN_MS = 500

test('with 100,000 open tickets nothing holds up the loop: start, reading the disk again, blocks, redemptions, status', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-redeemer-load-'))
  const chain = new FakeChain({ roundLength: 50n })
  chain.mine()
  const clock = new ManualClock()
  const store = new Store({ location: join(folder, 'node.sqlite3') })
  await store.open()
  const supervisor = new Supervisor()
  t.after(async () => {
    await supervisor.stop()
    await store.close()
    rmSync(folder, { recursive: true })
  })
  const { lastInitialized, blockHash } = await chain.roundState()
  for (let from = 0; from < TICKETS; from += 5_000) {
    const tickets = Array.from({ length: 5_000 }, (_, i) => ({
      ...wonTicket(from + i),
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
      paramsExpirationBlock: chain.head.l1Block,
    }))
    await store.addTickets(tickets, 0)
  }
  chain.fund(wonTicket(0).sender, 10n ** 30n)
  chain.mine()
  let redeemed = 0
  const needs = { chain, watch: chain, clock, log: silentLog }
  const rounds = new Rounds(needs)
  const senders = new Senders({ claimant: wonTicket(0).recipient }, { ...needs, rounds })
  const redeemer = new Redeemer({
    ...{ ...needs, tickets: store, nonces: store, rounds, senders, gas: chain },
    events: eventsTo({
      'ticket-redeemed': () => void redeemed++,
    }),
  })
  await supervisor.start(rounds)
  await supervisor.start(senders)
  const figures: Record<string, number> = {}
  figures.start = await longestTurn(() => supervisor.start(redeemer))
  assert.equal(redeemer.openTickets, TICKETS)
  figures.blocks = await longestTurn(async () => {
    // Until redemptions are confirmed.
    for (let i = 0; i < 24; i++) {
      chain.mine()
      for (let turn = 0; turn < 100; turn++) await settle()
    }
  })
  assert.ok(redeemed >= 96)
  figures.status = await longestTurn(async () => {
    await settle()
    redeemer.waiting(100)
    await settle()
    redeemer.firstExpiries()
    await settle()
  })
  figures.reload = await longestTurn(async () => {
    await clock.wind(60_000)
    for (let turn = 0; turn < 2_000; turn++) await settle()
  })
  t.diagnostic(JSON.stringify({ ...figures, redeemed }))
  for (const [what, ms] of Object.entries(figures)) {
    assert.ok(ms <= LONGEST_TURN_MS, `${what}: one turn took ${ms} ms`)
  }
})
