import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Network } from '../../devnet/network.ts'
import { seededDice } from '../../src/lib/dice.ts'
import type { GatewayStatus, OrchestratorStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { confirm } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const STREAMS = 3
const PARAMS_LIFETIME = 45
/** Long enough that mining those blocks at once does not expire tickets. */
const LONG_ROUND = 1_000n
/** Random time between faults. */
const CALM_MS = { least: 300, most: 1_500 }
const CUT_MS = { least: 500, most: 3_000 }
const SETTLE_MS = 120_000

/** The result after the faults, counted independently of the orchestrator's memory. */
export interface KillReport {
  readonly kills: number
  readonly cuts: number
  readonly segmentsServed: number
  /** Tickets in payments that the gateway saw accepted; almost every one wins. */
  readonly accepted: number
  /** Redeemed according to the chain's log. */
  readonly redeemed: number
  /** Duplicates in that log. */
  readonly redeemedTwice: number
  /** From the orchestrator's database at the end. */
  readonly won: number
  readonly open: number
  readonly refused: number
  /** Segments refused for lack of credit that had been paid. */
  readonly creditLost: number
  readonly shortPaid: bigint
}

/**
 * Kills the orchestrator (SIGKILL) and cuts its link to the chain at random moments under load, then waits until
 * everything is settled. Real processes, chain and contracts; the same seed gives the same faults.
 */
export async function runKills(options: {
  faults: number
  seed: string
  say?: (line: string) => void
}): Promise<KillReport> {
  const say = options.say ?? (() => {})
  const dice = seededDice(options.seed)
  const between = ({ least, most }: { least: number; most: number }) =>
    least + dice.fraction() * (most - least)
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-kills-'))
  try {
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      cuttable: true,
      roundLength: LONG_ROUND,
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
      logFolder: join(folder, 'logs'),
    })
    await network.orchestrator.start()
    await network.gateway.start()
    await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
    await until(async () => (load.served >= STREAMS ? true : null), 'the first segments')

    const faults = { kills: 0, cuts: 0 }
    for (let fault = 0; fault < options.faults; fault++) {
      await sleep(between(CALM_MS))
      if (dice.fraction() < 0.6) {
        faults.kills++
        await network.orchestrator.kill()
        await network.orchestrator.start()
      } else {
        faults.cuts++
        network.chainLink!.cut()
        await sleep(between(CUT_MS))
        network.chainLink!.restore()
      }
      say(`fault ${fault + 1} of ${options.faults}: ${load.served} segments served`)
    }
    const before = load.served
    await until(async () => (load.served > before + STREAMS ? true : null), 'service after the last fault')
    await load.stop()

    // The params expire within this round and the next, so that everything can be redeemed.
    await network.anvil.mine(PARAMS_LIFETIME)
    const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
    await until(
      async () => ((await network.protocol.redemptions()).redeemed >= ticketsAccepted ? true : null),
      'every ticket redeemed',
      SETTLE_MS,
    ).catch(() => {})
    await confirm(network)
    const settled = await until(
      async () => {
        const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
        const chain = await network.protocol.redemptions()
        return tickets.open + tickets.submitted === 0 && chain.redeemed === tickets.redeemed
          ? { tickets, chain }
          : null
      },
      'every ticket at rest',
      SETTLE_MS,
    ).catch(async () => ({
      tickets: (await network.orchestrator.status<OrchestratorStatus>()).tickets,
      chain: await network.protocol.redemptions(),
    }))
    const refusedForCredit = load.pushed.filter(({ text }) => text.includes('Insufficient balance')).length
    return {
      ...faults,
      segmentsServed: load.served,
      accepted: ticketsAccepted,
      redeemed: settled.chain.redeemed,
      redeemedTwice: settled.chain.redeemed - settled.chain.distinct,
      won: settled.tickets.won,
      open: settled.tickets.open + settled.tickets.submitted,
      refused: settled.tickets.refused,
      creditLost: refusedForCredit,
      shortPaid: settled.chain.faceValue - settled.chain.paid,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
