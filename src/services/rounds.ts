import type { ChainHead, ChainUpdate, RoundState } from '../domain/chain.ts'
import type { RoundClock } from '../domain/redemption.ts'
import { type ExpirationParams, isZeroHash } from '../domain/ticket.ts'
import { Alarm } from '../lib/alarm.ts'
import type { Clock } from '../lib/clock.ts'
import { messageOf, NodeError } from '../lib/errors.ts'
import { Listeners } from '../lib/listeners.ts'
import type { Log } from '../lib/log.ts'
import type { Scope, Service } from '../lib/service.ts'

/** The state is read again after this long although nothing was announced: parameters change without an event. */
const REREAD_MS = 5 * 60_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/** Tells each step of the chain. */
export interface ChainWatch {
  /** Calls the listener with every update from now on, until `signal` is aborted. */
  subscribe(listener: (update: ChainUpdate) => void, signal: AbortSignal): void
  /** The newest block seen, or null before the first. */
  readonly head: ChainHead | null
}

/** What is read of the chain to know its rounds. */
export interface RoundReads {
  roundState(): Promise<RoundState>
  /** How many orchestrators share a sender's reserve. */
  poolSize(): Promise<bigint>
}

/** The protocol's time as this node knows it. */
export interface RoundsView {
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  readonly poolSize: bigint
  /** What tickets made now carry: the last initialised round, or the one before while its hash is not known (payments.md §4). */
  readonly expirationParams: ExpirationParams
}

/**
 * Knows the rounds and the L1 block. Events only say that something changed: the state is then read, and read again
 * until it succeeds. A round never goes back, except after a reorganisation.
 */
export class Rounds implements Service, RoundsView {
  readonly name = 'rounds'
  readonly #chain: RoundReads
  readonly #watch: ChainWatch
  readonly #clock: Clock
  readonly #log: Log
  readonly #alarm = new Alarm()
  readonly #onRound = new Listeners<bigint>()
  readonly #onL1Block = new Listeners<bigint>()
  #state: RoundState | null = null
  #poolSize = 0n
  #l1Block = 0n
  /** Counts the updates that make a new read necessary. */
  #wanted = 0
  /** Counts the updates after which a read may show an earlier round, and how many of them were before the last read. */
  #reorganisations = 0
  #accountedFor = 0
  #isFailing = false

  constructor(needs: { chain: RoundReads; watch: ChainWatch; clock: Clock; log: Log }) {
    this.#chain = needs.chain
    this.#watch = needs.watch
    this.#clock = needs.clock
    this.#log = needs.log
  }

  async start(scope: Scope): Promise<void> {
    this.#l1Block = this.#watch.head?.l1Block ?? 0n
    this.#watch.subscribe((update) => this.#follow(update), scope.signal)
    const first = Promise.withResolvers<void>()
    const giveUp = () => first.reject(scope.signal.reason)
    scope.signal.addEventListener('abort', giveUp, { once: true })
    scope.spawn('read the state of the rounds', (signal) => this.#keepReading(first.resolve, signal))
    await first.promise
    scope.signal.removeEventListener('abort', giveUp)
  }

  /** Whether the chain has been read: until then the other getters throw. */
  get isKnown(): boolean {
    return this.#state !== null
  }

  get lastInitializedRound(): bigint {
    return this.#known.lastInitialized
  }

  get l1Block(): bigint {
    return this.#l1Block
  }

  get poolSize(): bigint {
    return this.#poolSize
  }

  get expirationParams(): ExpirationParams {
    const { lastInitialized, blockHash, previousBlockHash } = this.#known
    return isZeroHash(blockHash) && lastInitialized > 0n
      ? { creationRound: lastInitialized - 1n, creationRoundBlockHash: previousBlockHash }
      : { creationRound: lastInitialized, creationRoundBlockHash: blockHash }
  }

  /** The round of the newest L1 block, initialised or not, and where it began. */
  get roundClock(): RoundClock {
    const { current, startL1Block, length } = this.#known
    const passed = length > 0n && this.#l1Block > startL1Block ? (this.#l1Block - startL1Block) / length : 0n
    return {
      currentRound: current + passed,
      startL1Block: startL1Block + passed * length,
      roundLength: length,
      l1Block: this.#l1Block,
    }
  }

  /** Calls the listener whenever another round is the last initialised. */
  onRound(listener: (round: bigint) => void, signal: AbortSignal): void {
    this.#onRound.add(listener, signal)
  }

  /** Calls the listener with every new L1 block. */
  onL1Block(listener: (block: bigint) => void, signal: AbortSignal): void {
    this.#onL1Block.add(listener, signal)
  }

  get #known(): RoundState {
    if (!this.#state)
      throw new NodeError('rounds-unknown', 'the rounds have not been read from the chain yet')
    return this.#state
  }

  #follow(update: ChainUpdate): void {
    if (update.reorganised) this.#reorganisations++
    // A block after a failed read: the chain answers again.
    if (update.reorganised || this.#isFailing || update.events.some(changesRounds)) {
      this.#wanted++
      this.#alarm.ring()
    }
    const block = update.head.l1Block
    if (block === this.#l1Block || (block < this.#l1Block && !update.reorganised)) return
    this.#l1Block = block
    if (this.#state && block >= this.#state.startL1Block + this.#state.length) this.#alarm.ring()
    this.#onL1Block.tell(block)
  }

  async #keepReading(firstRead: () => void, signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    for (;;) {
      const wanted = this.#wanted
      let waitMs = REREAD_MS
      try {
        await this.#read()
        this.#isFailing = false
        firstRead()
        retryMs = FIRST_RETRY_MS
        // What was announced while reading may not be in it.
        if (this.#wanted !== wanted) continue
      } catch (error) {
        if (signal.aborted) throw error
        this.#log.warn('the state of the rounds cannot be read', { error: messageOf(error), retryMs })
        this.#isFailing = true
        waitMs = retryMs
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)
      }
      await this.#alarm.wait(this.#clock, waitMs, signal)
    }
  }

  async #read(): Promise<void> {
    const reorganisations = this.#reorganisations
    const [state, poolSize] = await Promise.all([this.#chain.roundState(), this.#chain.poolSize()])
    const before = this.#state
    const wentBack = before !== null && state.lastInitialized < before.lastInitialized
    if (wentBack && this.#accountedFor === this.#reorganisations) {
      throw new NodeError('stale-round', 'the chain was read at an earlier round than before', {
        details: { read: state.lastInitialized, known: before.lastInitialized },
      })
    }
    this.#accountedFor = reorganisations
    this.#state = state
    this.#poolSize = poolSize
    if (before?.lastInitialized !== state.lastInitialized) {
      this.#log.info('round', { round: state.lastInitialized, poolSize })
      this.#onRound.tell(state.lastInitialized)
    }
  }
}

function changesRounds(event: ChainUpdate['events'][number]): boolean {
  return (
    event.kind === 'new-round' ||
    event.kind === 'transcoder-activated' ||
    event.kind === 'transcoder-deactivated'
  )
}
