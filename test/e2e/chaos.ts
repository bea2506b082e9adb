import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Network, type NetworkNode } from '../../devnet/network.ts'
import type { TcpLink } from '../../devnet/tcp-link.ts'
import { seededDice } from '../../src/lib/dice.ts'
import type { GatewayStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { settleRewards, settleTickets } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const STREAMS = 4
/**
 * Between segments of a stream: the winners of a 90 s round must be redeemable within another 90 s, even on a slow
 * machine.
 */
const PAUSE_MS = 400
/**
 * In blocks of a second: winners at the end of a round can be redeemed for 50 of them, because params are valid for 40.
 */
const ROUND_LENGTH = 90n
/** Random time between faults. */
const CALM_MS = { least: 300, most: 2_000 }
/** How long a killed node stays down, and a link broken. */
const OUTAGE_MS = { least: 0, most: 4_000 }
/** One outage in `of` is `times` as long. */
const LONG_OUTAGES = { of: 8, times: 4 }
/** How long a slow link delays each piece. */
const DELAY_MS = { least: 100, most: 1_500 }

/** The result after the faults, counted independently of the nodes' memory. */
export interface ChaosReport {
  /** Number of faults by kind. */
  readonly faults: Readonly<Record<string, number>>
  /** Nodes that exited without being killed, with their last output. */
  readonly crashes: readonly string[]
  readonly segmentsServed: number
  /** Pushes that the gateway answered without renditions. */
  readonly segmentsFailed: number
  /** Number of failures by reason. */
  readonly failures: Readonly<Record<string, number>>
  /** Tickets in payments that the gateway saw accepted; almost every one wins. */
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
 * Kills nodes of an operator's whole setup (SIGKILL) and cuts their links to the chain and to the redeemer at random
 * moments under load, then waits until everything is settled. Real processes, chain, contracts and balancer; the same
 * seed gives the same faults.
 */
export async function runChaos(options: {
  faults: number
  seed: string
  /** Folder for the nodes' logs; absent: they are removed. */
  logFolder?: string
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
      logFolder: options.logFolder ?? join(folder, 'logs'),
    })
    await network.start()
    await using load = await TinyLoad.start(network.urls.gateway, STREAMS, { pauseMs: PAUSE_MS })
    await until(async () => (load.served >= STREAMS ? true : null), 'the first segments')

    const mortal = network.nodes.filter(({ kind }) => kind !== 'gateway')
    const faults: Record<string, number> = {}
    const crashes: string[] = []
    for (let fault = 1; fault <= options.faults; fault++) {
      await sleep(between(CALM_MS))
      const node = oneOf(mortal)
      const what = oneOf(oneOf(faultsOf(network, node, between(DELAY_MS))))
      faults[what.name] = (faults[what.name] ?? 0) + 1
      const isLong = dice.fraction() * LONG_OUTAGES.of < 1
      await what.inject(between(OUTAGE_MS) * (isLong ? LONG_OUTAGES.times : 1))
      for (const { process } of network.nodes.filter(({ process }) => !process.isRunning)) {
        crashes.push(`${process.command.name}: ${process.output.slice(-2_000)}`)
        await process.start()
      }
      say(`fault ${fault} of ${options.faults}: ${what.name}; ${load.served} segments served`)
    }
    const before = load.served
    await until(async () => (load.served > before + STREAMS ? true : null), 'service after the last fault')
    await load.stop()

    const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
    const tickets = await settleTickets(network)
    const { rewards, rounds } = await settleRewards(network)
    const failed = load.pushed.filter(({ status }) => status !== 200)
    const failures: Record<string, number> = {}
    for (const { status, text } of failed) {
      failures[`${status} ${text}`] = (failures[`${status} ${text}`] ?? 0) + 1
    }
    const { distinct } = await network.protocol.redemptions()
    return {
      faults,
      crashes,
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

interface Fault {
  readonly name: string
  /** Resolves when the fault is over. */
  inject(outageMs: number): Promise<void>
}

/** The possible faults of a node: it is killed, or one of its links, each equally likely, is cut, hangs or is slow. */
function faultsOf(network: Network, { chainLink, kind, process }: NetworkNode, delayMs: number): Fault[][] {
  const { name } = process.command
  const during = (what: string, link: TcpLink, fail: () => void): Fault => ({
    name: what,
    inject: async (outageMs) => {
      fail()
      await sleep(outageMs)
      link.restore()
    },
  })
  const ways = (what: string, link: TcpLink): Fault[] => [
    during(`${what} cut`, link, () => link.cut()),
    during(`${what} hanging`, link, () => link.freeze()),
    during(`${what} slow`, link, () => link.slow(delayMs)),
  ]
  const kill: Fault = {
    name: `${name} killed`,
    inject: async (outageMs) => {
      await process.kill()
      await sleep(outageMs)
      await process.start()
    },
  }
  const toChain = chainLink ? ways(`${name}’s line to the chain`, chainLink) : []
  const toRedeemer =
    kind === 'redeemer' && network.redeemerLink ? ways('line to the redeemer', network.redeemerLink) : []
  return [[kill], toChain, toRedeemer].filter((ways) => ways.length > 0)
}
