import { setTimeout as sleep } from 'node:timers/promises'
import { startChain } from '../test/chain/fixture.ts'
import { registerRecipient, startRedeeming, transactionsOf, winners } from '../test/chain/redeeming.ts'

/** Hands winning tickets all at once to a redeemer with a real store, on an anvil with a block per second. */

const TICKETS = 320

/** Redeems many tickets in batches of at most this size; returns what it took. */
async function redeemMany(maxBatch: number): Promise<{ perBlock: number; gasPerTicket: number }> {
  await using chain = await startChain({ parameters: { roundLength: 500n } })
  const { anvil, client, protocol } = chain
  await registerRecipient(chain)
  const tickets = await winners(chain, { name: 'bench sender', count: TICKETS })
  await anvil.mineEvery(1)
  await using redeeming = await startRedeeming(chain, { name: 'bench redeemer', urls: [anvil.url], maxBatch })
  const before = await protocol.redemptions()
  const from = await client.blockNumber()
  await Promise.all(tickets.map((ticket) => redeeming.redeemer.queue(ticket)))
  while ((await protocol.redemptions()).redeemed < TICKETS) await sleep(100)
  const blocks = Number((await client.blockNumber()) - from)
  const { gas } = await transactionsOf(chain, redeeming.account, from)
  if ((await protocol.redemptions()).paying - before.paying !== TICKETS)
    throw new Error('a ticket was not paid')
  return { perBlock: TICKETS / blocks, gasPerTicket: Number(gas) / TICKETS }
}

const single = await redeemMany(1)
const batched = await redeemMany(16)
const figures = {
  ticketsPerBlock: Number(batched.perBlock.toFixed(1)),
  gasPerTicketSingle: Math.round(single.gasPerTicket),
  gasPerTicketBatched: Math.round(batched.gasPerTicket),
}
console.log(`${TICKETS} winning tickets of one sender, blocks of one second`)
console.log(`alone        ${single.perBlock.toFixed(1)} a block, ${figures.gasPerTicketSingle} gas each`)
console.log(`in batches   ${figures.ticketsPerBlock} a block, ${figures.gasPerTicketBatched} gas each`)
console.log(JSON.stringify(figures))
