import type { CallResult, InFlight } from '../../domain/chain-call.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { RoundClock } from '../../domain/redemption.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Leads } from '../../lib/terms.ts'

/** The chain is read again after this time even without an event. */
const LOOK_MS = 60_000

/** The chain access for initialising rounds. */
export interface RoundInitializerChain {
  /** The round of the newest block, and whether it has been initialised. */
  initialization(): Promise<{ readonly round: bigint; readonly isDone: boolean }>
  /** Sends the initialisation, at most once, and waits for its receipt. */
  initializeRound(signal: AbortSignal): Promise<CallResult>
  initializationInFlight(): InFlight | null
}

/** What the round initialiser works with. */
export interface RoundInitializerNeeds {
  readonly chain: RoundInitializerChain
  readonly rounds: {
    readonly roundClock: RoundClock
    readonly lastInitializedRound: bigint
    onRound(listener: (round: bigint) => void, signal: AbortSignal): void
    onL1Block(listener: (block: bigint) => void, signal: AbortSignal): void
  }
  /** Whether this process may send; null where no other one has its account and store. */
  readonly leads?: Leads | null
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
}

/** The state of the round initialiser, for the operator. */
export interface RoundInitializerStatus {
  /** The round of the newest L1 block. */
  readonly currentRound: bigint
  readonly lastInitializedRound: bigint
  readonly nextRoundL1Block: bigint
  /** `waits`: the round is initialised; `delays`: the random wait before sending. */
  readonly state: 'waits' | 'delays' | 'sends'
  readonly inFlight: InFlight | null
  /** By this node, since the start. */
  readonly initialized: number
  readonly lastError: { readonly atMs: number; readonly message: string } | null
}

/**
 * Initialises rounds that are due (chain.md §11), also the one in which the node starts. Any account may do so: each node
 * waits a random time and checks again before it sends. A failure is retried with the next L1 block.
 */
export class RoundInitializer implements Service {
  readonly name = 'round initialiser'
  readonly #maxDelayMs: number
  readonly #needs: RoundInitializerNeeds
  readonly #alarm = new Alarm()
  #state: RoundInitializerStatus['state'] = 'waits'
  #initialized = 0
  #lastError: RoundInitializerStatus['lastError'] = null
  /** The round and reason of the last failure that was logged. */
  #told = ''

  constructor(options: { maxDelayMs: number }, needs: RoundInitializerNeeds) {
    this.#maxDelayMs = options.maxDelayMs
    this.#needs = needs
  }

  start(scope: Scope): void {
    const { rounds } = this.#needs
    rounds.onL1Block(() => this.#isDue && this.#alarm.ring(), scope.signal)
    rounds.onRound(() => this.#alarm.ring(), scope.signal)
    this.#needs.leads?.onChange(() => this.#alarm.ring(), scope.signal)
    scope.spawn('initialise rounds', (signal) => this.#run(signal))
  }

  /** The state, from memory. */
  status(): RoundInitializerStatus {
    const { chain, rounds } = this.#needs
    const { currentRound, roundLength, startL1Block } = rounds.roundClock
    return {
      currentRound,
      lastInitializedRound: rounds.lastInitializedRound,
      nextRoundL1Block: startL1Block + roundLength,
      state: this.#state,
      inFlight: chain.initializationInFlight(),
      initialized: this.#initialized,
      lastError: this.#lastError,
    }
  }

  /** As far as this node knows; the chain is read again before anything is sent. */
  get #isDue(): boolean {
    const { rounds } = this.#needs
    return rounds.roundClock.currentRound > rounds.lastInitializedRound
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      if (this.#isDue && this.#needs.leads?.epoch !== null) await this.#attempt(signal)
      this.#state = 'waits'
      await this.#alarm.wait(this.#needs.clock, LOOK_MS, signal)
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { chain, clock, dice } = this.#needs
    let round: bigint | null = null
    try {
      if ((await chain.initialization()).isDone) return
      this.#state = 'delays'
      await clock.sleep(dice.fraction() * this.#maxDelayMs, signal)
      const now = await chain.initialization()
      round = now.round
      if (now.isDone) return
      this.#state = 'sends'
      const result = await chain.initializeRound(signal)
      if (result.kind === 'mined' && result.success) return this.#noteSuccess(round, result.fee)
      if (result.kind === 'not-sent' && result.why === 'not-due') return
      if ((await chain.initialization()).isDone) {
        return this.#needs.log.info('round initialised by another account', { round })
      }
      this.#fail(round, failureOf(result))
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error
      this.#fail(round, messageOf(error))
    }
  }

  #noteSuccess(round: bigint, fee: bigint): void {
    this.#initialized++
    this.#lastError = null
    this.#needs.events.tell({ kind: 'round-initialized', round, fee })
  }

  #fail(round: bigint | null, reason: string): void {
    const { clock, events, log } = this.#needs
    this.#lastError = { atMs: clock.now(), message: reason }
    events.tell({ kind: 'round-initialization-failed', round, reason })
    const story = `${round} ${reason}`
    log[story === this.#told ? 'debug' : 'warn']('could not initialise the round, retrying', {
      round,
      reason,
    })
    this.#told = story
  }
}

function failureOf(result: CallResult): string {
  if (result.kind === 'not-sent') return result.reason
  return result.kind === 'timed-out' ? `no receipt of ${result.txHash} yet` : `${result.txHash} failed`
}
