import { setTimeout as sleep } from 'node:timers/promises'
import { type TicketFigures, ticketFigures } from '../../devnet/figures.ts'
import type { Network } from '../../devnet/network.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'

const REST_MS = 60_000
/** Blocks for which params are accepted, and some. */
const PARAMS_LIFETIME = 45n

/**
 * Brings all tickets to their end, quicker than time would: in this round and in the next, all params are made to expire,
 * and then the nodes have the rest of the round for what expires with it and for its reward. Gives where the tickets are
 * then, also when they are not at rest.
 */
export async function settleTickets(network: Network): Promise<TicketFigures> {
  const { protocol } = network
  const { roundLength } = protocol.parameters
  for (let round = 0; round < 2; round++) {
    const start = await protocol.roundStart()
    const end = start + roundLength
    await protocol.mineTo(start + PARAMS_LIFETIME)
    while ((await protocol.blockNumber()) < end) {
      const { rewards, rounds } = await protocol.roundsSince(network.fromBlock)
      if (rewards >= rounds && !(await expiresBy(network, end))) break
      await sleep(500)
    }
    await protocol.mineTo(end)
    await protocol.initializeRound()
  }
  const deadline = Date.now() + REST_MS
  let figures = await ticketFigures(network)
  while ((figures.pending > 0 || !figures.isAtRest) && Date.now() < deadline) {
    await sleep(250)
    figures = await ticketFigures(network)
  }
  return figures
}

/** How often reward was called, and in how many rounds, once both are the same, or after a while. */
export async function settleRewards(network: Network): Promise<{ rounds: number; rewards: number }> {
  const count = () => network.protocol.roundsSince(network.fromBlock)
  return until(async () => {
    const seen = await count()
    return seen.rewards >= seen.rounds ? seen : null
  }, 'the last reward').catch(count)
}

/** Whether anybody has tickets that expire by then; also when somebody does not say. */
async function expiresBy(network: Network, block: bigint): Promise<boolean> {
  const holders = [...network.of('redeemer'), ...network.of('orchestrator')]
  const of = await Promise.allSettled(holders.map(({ process }) => process.status<NodeStatus>()))
  return of.some(
    (answer) =>
      answer.status === 'rejected' ||
      answer.value.waiting!.shown.some(({ expiryBlock }) => BigInt(expiryBlock) <= block),
  )
}
