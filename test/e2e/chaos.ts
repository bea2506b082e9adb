import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type TicketFigures, ticketFigures } from '../../devnet/figures.ts'
import { Network, type NetworkNode } from '../../devnet/network.ts'
import type { TcpLink } from '../../devnet/tcp-link.ts'
import { seededDice } from '../../src/lib/dice.ts'
import type { GatewayStatus } from '../../src/status.ts'
import { until } from '../until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const STREAMS = 4
const PARAMS_LIFETIME = 45
/** Longer than the whole run, so that mining at its end does not carry tickets past their expiry. */
const ROUND_LENGTH = 1_000n
/** A blow comes this long after the last was over, at random. */
const CALM_MS = { least: 300, most: 2_000 }
/** How long a dead node stays dead, and a cut line cut. */
const OUTAGE_MS = { least: 0, most: 4_000 }
const SETTLE_MS = 120_000

/** What is left after the blows, counted by those who do not share the nodes' memory. */
export interface ChaosReport {
  /** How many of each kind. */
  readonly blows: Readonly<Record<string, number>>
  readonly segmentsServed: number
  /** Pushes that the gateway could not answer with renditions. */
  readonly segmentsFailed: number
  /** Why, and how often. */
  readonly failures: Readonly<Record<string, number>>
  /** Tickets in payments that the gateway saw accepted; practically each of them wins. */
  readonly accepted: number
  readonly redeemed: number
  readonly redeemedTwice: number
  readonly won: number
  readonly pending: number
  readonly refused: number
  readonly lost: number
  readonly shortPaid: bigint
  readonly rounds: number
  readonly rewards: number
}

/**
 * Kills nodes of an operator's whole setup (SIGKILL) and cuts their lines to the chain and to the redeemer at random
 * moments under load, then lets everything come to rest. Real processes, chain, contracts and balancer; the same seed
 * gives the same blows.
 */
export async function runChaos(options: {
  blows: number
  seed: string
  say?: (line: string) => void
}): Promise<ChaosReport> {
  const say = options.say ?? (() => {})
  const dice = seededDice(options.seed)
  const between = ({ least, most }: { least: number; most: number }) =>
    least + dice.fraction() * (most - least)
  const oneOf = <Item>(items: readonly Item[]) => items[Math.floor(dice.fraction() * items.length)]!
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-chaos-'))
  try {
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      setup: 'multi',
      cuttable: true,
      roundLength: ROUND_LENGTH,
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
      logFolder: join(folder, 'logs'),
    })
    const fromBlock = await network.protocol.blockNumber()
    await network.start()
    const load = await TinyLoad.start(network.urls.gateway, STREAMS, { pauseMs: 50 })
    await until(async () => (load.served >= STREAMS ? true : null), 'the first segments')

    const mortal = network.nodes.filter(({ kind }) => kind !== 'gateway')
    const blows: Record<string, number> = {}
    for (let blow = 1; blow <= options.blows; blow++) {
      await sleep(between(CALM_MS))
      const node = oneOf(mortal)
      const what = oneOf(kindsOfBlow(network, node))
      blows[what.name] = (blows[what.name] ?? 0) + 1
      await what.strike(between(OUTAGE_MS))
      say(`blow ${blow} of ${options.blows}: ${what.name}; ${load.served} segments served`)
    }
    const before = load.served
    await until(async () => (load.served > before + STREAMS ? true : null), 'service after the last blow')
    await load.stop()

    await network.anvil.mine(PARAMS_LIFETIME)
    const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
    let tickets: TicketFigures = await ticketFigures(network)
    const deadline = Date.now() + SETTLE_MS
    while ((tickets.pending > 0 || !tickets.isAtRest) && Date.now() < deadline) {
      await sleep(500)
      tickets = await ticketFigures(network)
    }
    await network.protocol.nextRound()
    const { rewards, rounds } = await until(async () => {
      const seen = await network.protocol.roundsSince(fromBlock)
      return seen.rewards >= seen.rounds ? seen : null
    }, 'the last reward').catch(() => network.protocol.roundsSince(fromBlock))
    const failed = load.pushed.filter(({ status }) => status !== 200)
    const failures: Record<string, number> = {}
    for (const { status, text } of failed) {
      failures[`${status} ${text}`] = (failures[`${status} ${text}`] ?? 0) + 1
    }
    const { distinct } = await network.protocol.redemptions()
    return {
      blows,
      segmentsServed: load.served,
      segmentsFailed: failed.length,
      failures,
      accepted: ticketsAccepted,
      redeemed: tickets.redeemed,
      redeemedTwice: tickets.redeemed - distinct,
      won: tickets.won,
      pending: tickets.pending,
      refused: tickets.refused,
      lost: tickets.lost,
      shortPaid: tickets.faceValue - tickets.paid,
      rounds,
      rewards,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Blow {
  readonly name: string
  /** Resolves when it is over. */
  strike(outageMs: number): Promise<void>
}

/** What can befall a node: it is killed, or one of its lines is cut. */
function kindsOfBlow(network: Network, node: NetworkNode): Blow[] {
  const { chainLink, kind, process } = node
  const cut = (name: string, link: TcpLink): Blow => ({
    name,
    strike: async (outageMs) => {
      link.cut()
      await sleep(outageMs)
      link.mend()
    },
  })
  const kill: Blow = {
    name: `${process.command.name} killed`,
    strike: async (outageMs) => {
      await process.kill()
      await sleep(outageMs)
      await process.start()
    },
  }
  return [
    kill,
    ...(chainLink ? [cut(`${process.command.name} cut off from the chain`, chainLink)] : []),
    ...(kind === 'redeemer' && network.redeemerLink
      ? [cut('redeemer cut off from its orchestrators', network.redeemerLink)]
      : []),
  ]
}
