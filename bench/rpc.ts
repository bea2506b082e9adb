import { setTimeout as sleep } from 'node:timers/promises'
import type { WinningTicket } from '../src/domain/ticket.ts'
import { startChain } from '../test/chain/fixture.ts'
import { registerRecipient, startRedeeming, transactionsOf, winners } from '../test/chain/redeeming.ts'
import { HABITS, startHabits } from '../test/chain/rpc-habits.ts'
import type { RpcShim } from '../test/chain/rpc-shim.ts'
import { until } from '../test/tools/until.ts'

/** The RPC requests of a redeemer: idle, per ticket, per round, and with a limit of 15 per second. */

const TICKETS = 100
const IDLE_S = 60
const GIVE_UP_MS = 5 * 60_000

await using chain = await startChain({ parameters: { roundLength: 500n } })
const { anvil, client, protocol } = chain
await registerRecipient(chain)
await anvil.mineEvery(1)

/** Hands over tickets; returns how long it took to redeem all of them, or how many were redeemed in time. */
async function redeem(shim: RpcShim, name: string, tickets: readonly WinningTicket[]) {
  const before = (await protocol.redemptions()).redeemed
  const from = await client.blockNumber()
  await using redeeming = await startRedeeming(chain, { name, urls: [shim.url], pollMs: 5_000 })
  const asked = shim.requests
  const started = Date.now()
  await Promise.all(tickets.map((ticket) => redeeming.redeemer.queue(ticket)))
  const redeemed = async () => (await protocol.redemptions()).redeemed - before
  while ((await redeemed()) < tickets.length && Date.now() - started < GIVE_UP_MS) await sleep(200)
  const seconds = (Date.now() - started) / 1_000
  const redeemedInTime = await redeemed()
  await until(async () => (redeeming.redeemer.openTickets === 0 ? true : null), 'all tickets are settled')
  const requests = shim.requests - asked
  const { count: transactions, failed } = await transactionsOf(chain, redeeming.account, from)
  return { seconds, redeemed: redeemedInTime, requests, transactions, failed }
}

/** The requests of an idle redeemer: per hour, and in addition for a new round. */
async function idle(): Promise<{ perHour: number; perRound: number }> {
  await using shim = await startHabits(anvil.url, [])
  await using _ = await startRedeeming(chain, { name: 'bench idler', urls: [shim.url], pollMs: 5_000 })
  await sleep(5_000)
  const asked = shim.requests
  await sleep(IDLE_S * 1_000)
  const perHour = ((shim.requests - asked) * 3_600) / IDLE_S
  // Polling for blocks and prices goes on as before; a round is read with view calls, all at one block.
  const ofRounds = () => (shim.asked.get('eth_call') ?? 0) + (shim.asked.get('eth_blockNumber') ?? 0)
  const before = ofRounds()
  await protocol.nextRound()
  await until(async () => (ofRounds() > before ? true : null), 'the round is read')
  await sleep(5_000)
  return { perHour, perRound: ofRounds() - before }
}

const { perHour: idlePerHour, perRound } = await idle()
console.log(`idle: ${idlePerHour} requests an hour, and ${perRound} for a round`)
await anvil.mineEvery(1)
const [free, limited] = [
  await winners(chain, { name: 'bench sender', count: TICKETS }),
  await winners(chain, { name: 'bench sender behind a limit', count: TICKETS }),
]
await using open = await startHabits(anvil.url, [])
const unlimited = await redeem(open, 'bench redeemer', free)
console.log('without a limit', unlimited, Object.fromEntries(open.asked))
await using shim = await startHabits(anvil.url, [HABITS.rateJson429])
const behind = await redeem(shim, 'bench redeemer behind a limit', limited)
console.log('at 15 requests a second', behind, Object.fromEntries(shim.asked))
console.log(
  JSON.stringify({
    idlePerHour,
    perTicketRedeemed: Number((unlimited.requests / unlimited.redeemed).toFixed(1)),
    redeemedAt15PerSecond: behind.redeemed,
  }),
)
