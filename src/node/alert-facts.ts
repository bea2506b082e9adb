import { statfs } from 'node:fs/promises'
import type { AlertFacts } from '../domain/alerts.ts'
import type { OrchestratorState } from '../domain/chain.ts'
import { dayOf } from '../domain/money.ts'
import type { RoundClock } from '../domain/redemption.ts'
import { rewardStand } from '../domain/reward.ts'
import { TicketBoard } from '../io/store/ticket-board.ts'
import type { Members } from '../services/cluster/members.ts'
import type { Parts } from './parts.ts'
import { roundClockOf, type StatusFacts } from './status/facts.ts'
import { Glimpse } from './status/glimpse.ts'

/** Over how many days what an account spent is counted. */
const SPENT_DAYS = 7

/** Reads what the rules for alerts judge (`src/domain/alerts.ts`), from what the node knows and shows anyway. */
export class NodeAlertFacts {
  readonly #parts: Parts
  readonly #facts: StatusFacts
  readonly #spent: Glimpse<bigint> | null
  readonly #disk: Glimpse<AlertFacts['disk']>
  readonly #startMs: number

  constructor(parts: Parts, facts: StatusFacts) {
    const { chain, core, duties } = parts
    const { clock } = core.env
    this.#parts = parts
    this.#facts = facts
    this.#startMs = clock.now()
    const board = new TicketBoard(core.store)
    this.#spent =
      chain && duties.sendsTransactions
        ? new Glimpse(() => board.spentSince(chain.account, dayOf(clock.now()) - SPENT_DAYS), clock)
        : null
    const { dataDir, keepsNothing } = core.settings
    this.#disk = new Glimpse(() => (keepsNothing ? Promise.resolve(null) : diskOf(dataDir)), clock)
  }

  /** What is known now. */
  async read(): Promise<AlertFacts> {
    const { chain, cluster, core, transcoder, winners } = this.#parts
    const [account, deposit, recipient, disk] = await Promise.all([
      this.#account(),
      this.#deposit(),
      this.#facts.recipientState(),
      this.#disk.look(),
    ])
    const rounds = chain && roundClockOf(chain)
    const [first] = rounds && winners ? winners.keeper.waiting(1) : []
    const { certs } = core.settings
    const nowMs = core.env.clock.now()
    return {
      nowMs,
      sinceMs: nowMs - this.#startMs,
      causes: core.env.causes.current,
      rounds,
      reward: this.#reward(recipient, rounds),
      firstTicket: first ?? null,
      recipient: recipient && chain && { ...recipient, address: chain.recipient },
      account,
      deposit,
      members: cluster ? membersOf(cluster.members) : [],
      certificateExpiresAtMs: certs === null ? null : (core.ownCerts?.expiresAtMs ?? null),
      devices: transcoder?.media.state?.devices ?? [],
      disk,
    }
  }

  /**
   * A node of its own asks the service that calls reward. In a cluster, where that service may be gone with its node, every node
   * goes by the chain, unless reward is called by none.
   */
  #reward(recipient: OrchestratorState | null, rounds: RoundClock | null): AlertFacts['reward'] {
    const { chain, cluster, duties, reward } = this.#parts
    if (!chain) return null
    const { recipient: orchestrator } = chain
    const isCalled =
      cluster && (duties.rewards || cluster.members.all.some(({ roles }) => roles.includes('reward')))
    if (!isCalled) return reward?.reward.status() ?? { orchestrator, state: 'off' }
    if (!recipient || !rounds) return null
    const { currentRound } = rounds
    const roundInitialized = chain.rounds.lastInitializedRound >= currentRound
    return { orchestrator, state: rewardStand({ ...recipient, currentRound, roundInitialized }) }
  }

  async #account(): Promise<AlertFacts['account']> {
    const { chain } = this.#parts
    const [balanceWei, spentWei] = await Promise.all([this.#facts.balance(), this.#spent?.look() ?? null])
    if (!chain || balanceWei === null || spentWei === null) return null
    const { account: address, settings } = chain
    return {
      ...{ address, balanceWei, spentWei, spentDays: SPENT_DAYS },
      leastDays: settings.alertBalanceDays,
    }
  }

  async #deposit(): Promise<AlertFacts['deposit']> {
    const { chain } = this.#parts
    const funds = await this.#facts.funds()
    if (!chain || !funds) return null
    const { account: address, settings } = chain
    const { depositLastsMs: lastsMs, depositWei } = funds
    return { address, depositWei, lastsMs, leastDays: settings.alertBalanceDays }
  }
}

async function diskOf(path: string): Promise<AlertFacts['disk']> {
  const { bavail, blocks, bsize } = await statfs(path, { bigint: true })
  return { path, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

/** Null while this node's own lease has run out: then the database does not answer, and every member looks silent. */
function membersOf({ all, isIn }: Pick<Members, 'all' | 'isIn'>): AlertFacts['members'] {
  if (!isIn) return null
  return all.map(({ address, leftMs, node }) => ({
    ...{ node, address, isAlive: leftMs > 0, silentMs: Math.max(0, -leftMs) },
  }))
}
