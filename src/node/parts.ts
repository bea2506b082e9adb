import type { Role, Settings } from '../config/settings.ts'
import type { Duties } from '../domain/duties.ts'
import type { Led, LedDuty } from '../domain/member.ts'
import type { Service } from '../lib/service.ts'
import type { Environment } from './environment.ts'
import { type ChainAccess, ChainParts, RewardParts, RoundInitializerParts } from './parts/chain.ts'
import { ClusterParts } from './parts/cluster.ts'
import { Core } from './parts/core.ts'
import { GatewayParts } from './parts/gateway.ts'
import { OrchestratorParts } from './parts/orchestrator.ts'
import { HandingOverParts, RedeemerParts, RedeemingParts, type Winners } from './parts/redeemer.ts'
import { TranscoderParts } from './parts/transcoder.ts'

/** The parts of one role, with the services that it runs. */
interface RoleParts {
  /** All that the role needs started, in the order of starting: each service comes after those that it uses. */
  readonly services: readonly Service[]
}

/**
 * Every part of a node, each made once; null for what its settings do not ask for. Making parts starts nothing: the
 * services of its roles are started in the order that `roles.ts` gives.
 */
export class Parts implements Readonly<Record<Role, RoleParts | null>> {
  readonly core: Core
  /** Null offchain. */
  readonly chain: ChainParts | null
  /** Null where the node has a database of its own. */
  readonly cluster: ClusterParts | null
  /** This node redeems winning tickets itself. */
  readonly redeeming: RedeemingParts | null = null
  /** This node hands winning tickets to a redeemer. */
  readonly handingOver: HandingOverParts | null = null
  readonly transcoder: TranscoderParts | null
  readonly orchestrator: OrchestratorParts | null
  readonly redeemer: RedeemerParts | null = null
  readonly gateway: GatewayParts | null
  readonly reward: RewardParts | null = null
  readonly roundInitializer: RoundInitializerParts | null = null

  constructor(settings: Settings, access: ChainAccess | null, env: Environment) {
    const core = new Core(settings, access, env)
    const { duties } = core
    const { gateway, orchestrator, redeemer, transcoder } = settings
    const cluster = settings.store && env.nodeId ? new ClusterParts(core, env.nodeId) : null
    const member = cluster && {
      ...{ node: cluster.members.node, instance: cluster.members.instance },
      hasRedeemer: () => cluster.hasRedeemer(),
    }
    const chain = access && settings.chain && new ChainParts(core, settings.chain, access, member)
    this.core = core
    this.cluster = cluster
    this.chain = chain
    if (chain && duties.redeems) this.redeeming = new RedeemingParts(core, chain)
    if (chain && orchestrator && duties.handsOver) {
      this.handingOver = new HandingOverParts(core, orchestrator, chain)
    }
    this.transcoder = transcoder && new TranscoderParts(core, transcoder)
    const { winners } = this
    const payments = chain && winners && { chain, winners }
    const needs = { transcoder: this.transcoder, payments, cluster: this.cluster }
    this.orchestrator = orchestrator && new OrchestratorParts(core, orchestrator, needs)
    if (redeemer && chain && this.redeeming) {
      this.redeemer = new RedeemerParts(core, redeemer, chain, this.redeeming)
    }
    this.gateway = gateway && new GatewayParts(core, gateway, chain)
    if (chain && duties.rewards) this.reward = new RewardParts(core, chain)
    if (chain && duties.initializesRounds) this.roundInitializer = new RoundInitializerParts(core, chain)
    cluster?.members.showLeads(() => this.#leads)
  }

  /** What this node leads in its cluster. */
  get #leads(): readonly Led[] {
    const sentForMs = this.chain?.leaders?.sending.ledForMs ?? null
    const redeems = this.redeeming?.leads ?? null
    // Of an account that may not call reward the state is `off`.
    const rewardState = this.reward?.reward.status().state ?? 'off'
    const callsReward = rewardState !== 'off' && rewardState !== 'unknown'
    const ledFor = (duty: LedDuty, forMs: number | null) => (forMs === null ? [] : [{ duty, forMs }])
    return [
      ...ledFor(this.duties.redeemsLate ? 'redeem late' : 'redeem', redeems?.ledForMs ?? null),
      ...ledFor('reward', callsReward ? sentForMs : null),
      ...ledFor('initialize rounds', this.roundInitializer ? sentForMs : null),
    ]
  }

  get settings(): Settings {
    return this.core.settings
  }

  get duties(): Duties {
    return this.core.duties
  }

  /** What becomes of winning tickets; null where none are kept. */
  get winners(): Winners | null {
    return this.redeeming ?? this.handingOver
  }

  /** The sessions, or streams, that this node takes at once just now. */
  get maxSessions(): number {
    const capacity = this.orchestrator?.transcoders.capacity ?? this.transcoder?.capacity.sessions ?? 0
    return this.core.maxSessionsFor(capacity)
  }

  /** What a running node waits for before it can be given work; null when it can. */
  get unready(): string | null {
    return this.orchestrator?.transcoders.capacity === 0 ? 'a transcoder' : null
  }

  /** Finishes the work for others that runs, and takes no more. Rejects when the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    const { drainTimeoutMs } = this.settings
    await this.orchestrator?.drain(signal)
    await this.transcoder?.worker?.drain(drainTimeoutMs, signal)
  }

  /** Takes work again, after a drain or one whose signal was aborted. Throws NodeError `cannot-listen`. */
  async undrain(): Promise<void> {
    await this.orchestrator?.undrain()
    this.transcoder?.worker?.undrain()
  }
}
