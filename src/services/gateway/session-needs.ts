import type { Capabilities } from '../../domain/capabilities.ts'
import type { SwapReason } from '../../domain/events.ts'
import type { SelectionWeights } from '../../domain/selection.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import type { Log } from '../../lib/log.ts'
import type { Found, Search } from './discovery.ts'
import type { Trust } from './orchestrator-source.ts'
import type { Payer } from './payer.ts'

/** Finds orchestrators. */
export interface Directory {
  size(trust: Trust): Promise<number>
  find(search: Search, signal: AbortSignal): Promise<readonly Found[]>
}

/** Facts that count in the choice of an orchestrator. */
export interface OrchestratorFacts {
  stakeOf(recipient: Address): bigint
  /** Null when no performance scores are loaded. */
  perfScoreOf(recipient: Address): number | null
}

/** What a pool of sessions needs. */
export interface SessionPoolNeeds {
  readonly directory: Directory
  readonly payer: Payer
  readonly facts: OrchestratorFacts
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  /** Called when an orchestrator is suspended. */
  suspended(event: { orchestrator: string; reason: string }): void
  /** Called when a segment goes to a different session than its predecessor. */
  swapped(reason: SwapReason): void
}

/** How sessions are chosen; with `weights` null (offchain) the first that answered comes first. */
export interface SessionsOptions {
  readonly weights: SelectionWeights | null
  readonly capabilities: Capabilities
}
