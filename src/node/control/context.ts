import type { Settings } from '../../config/settings.ts'
import { ControlError } from '../../io/http/control-route.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Drain } from '../drain.ts'
import type { ChainParts } from '../parts/chain.ts'
import type { Parts } from '../parts.ts'
import type { StatusFacts } from '../status/facts.ts'
import type { ControlLog } from './control-log.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Sending } from './sending.ts'

/** How far a node has come, which changes while it runs. */
export interface NodeProgress {
  /** Why it cannot be given work yet, or any more; null while it can. */
  waitingFor: string | null
  /** Whether all its services have started. */
  hasStarted: boolean
  /** Null until its parts are made. */
  running: { readonly parts: Parts; readonly facts: StatusFacts; readonly live: LiveSettings } | null
}

/** The node that a control API is for. */
export interface ControlledNode {
  readonly progress: Readonly<NodeProgress>
  readonly settings: Pick<
    Settings,
    'chain' | 'roles' | 'metrics' | 'orchestrator' | 'redeemer' | 'gateway' | 'maxSessions' | 'verbosity'
  >
  readonly version: string
  readonly clock: Clock
  readonly drain: Pick<Drain, 'begin' | 'state' | 'undo'>
  readonly changes: Pick<ControlLog, 'latest'>
  /** How what is asked now is sent; absent: as the node sends, and nothing is told of it. */
  readonly sending?: Sending
}

/** Why a node whose parts are not made cannot answer. */
export function notReady({ waitingFor }: Readonly<NodeProgress>): ControlError {
  return new ControlError('refused', `not ready, waits for ${waitingFor ?? 'its start'}`, 503)
}

/** The parts of a node that has started. Throws ControlError until then. */
export function partsOf({ progress }: ControlledNode): Parts {
  if (!progress.running || !progress.hasStarted) throw notReady(progress)
  return progress.running.parts
}

/** The settings that change while a node runs. Throws ControlError until it has started. */
export function liveOf({ progress }: ControlledNode): LiveSettings {
  if (!progress.running || !progress.hasStarted) throw notReady(progress)
  return progress.running.live
}

/** What a node has of the chain. Throws ControlError until it has started, and offchain. */
export function chainOf(node: ControlledNode): ChainParts {
  const { chain } = partsOf(node)
  if (!chain) throw NO_CHAIN()
  return chain
}

/** The refusal of a node without a chain, in the words that peers know (operations.md §4). */
export function unlessOnChain({ settings }: ControlledNode): { refusal(): ControlError | null } {
  return { refusal: () => (settings.chain === null ? NO_CHAIN() : null) }
}

const NO_CHAIN = () => new ControlError('not-here', 'missing ETH client', 500)
