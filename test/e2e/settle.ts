import { setTimeout as sleep } from 'node:timers/promises'
import { type TicketFigures, ticketFigures } from '../../devnet/figures.ts'
import type { Network } from '../../devnet/network.ts'
import { CONFIRMATIONS } from '../../src/domain/chain.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'

const REST_MS = 60_000
/** More blocks than params are valid for. */
const PARAMS_LIFETIME = 45n

/**
 * Settles all tickets faster than time would: in this round and the next, mines until all params have expired, and then
 * gives the nodes the rest of the round for expiring tickets and the reward. Returns the figures then, even if tickets
 * are still pending.
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
      const isRewarded = rewards >= rounds
      if (isRewarded && !(await expiresBy(network, end))) break
      if (isRewarded && (await isAllRedeemed(network))) await network.anvil.mine()
      await sleep(250)
    }
    await protocol.mineTo(end)
    await protocol.initializeRound()
  }
  const deadline = Date.now() + REST_MS
  let figures = await ticketFigures(network)
  while ((figures.pending > 0 || !figures.isAtRest) && Date.now() < deadline) {
    if (await isAllRedeemed(network)) await network.anvil.mine()
    await sleep(250)
    figures = await ticketFigures(network)
  }
  return figures
}

/** Mines as many blocks as nodes wait for before they take what they saw for final. */
export async function confirm({ anvil }: Network): Promise<void> {
  await anvil.mine(Number(CONFIRMATIONS))
}

/** The number of reward calls and of rounds, once both are equal or after a while. */
export async function settleRewards(network: Network): Promise<{ rounds: number; rewards: number }> {
  const count = () => network.protocol.roundsSince(network.fromBlock)
  return until(async () => {
    const seen = await count()
    return seen.rewards >= seen.rounds ? seen : null
  }, 'the last reward').catch(count)
}

/** Whether every ticket that the orchestrators won is redeemed, so that nodes only wait until that is final. */
async function isAllRedeemed(network: Network): Promise<boolean> {
  const { won } = await ticketFigures(network)
  return (await network.protocol.redemptions()).distinct >= won
}

/** Whether any node has tickets that expire by then; true if a node does not answer. */
async function expiresBy(network: Network, block: bigint): Promise<boolean> {
  const holders = [...network.of('redeemer'), ...network.of('orchestrator')]
  const of = await Promise.allSettled(holders.map(({ process }) => process.status<NodeStatus>()))
  return of.some(
    (answer) =>
      answer.status === 'rejected' ||
      answer.value.waiting!.shown.some(({ expiryBlock }) => BigInt(expiryBlock) <= block),
  )
}
