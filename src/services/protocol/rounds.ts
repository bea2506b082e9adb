import { type ChainHead, type ChainUpdate, isConfirmed, type RoundState } from '../../domain/chain.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { type RoundClock, roundClockAt } from '../../domain/redemption.ts'
import { type ExpirationParams, isZeroHash } from '../../domain/ticket.ts'
import { Alarm } from '../../lib/alarm.ts'
import { larger, smaller } from '../../lib/bigints.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** Why a round is not known. */
export type RoundsFault = 'rounds-unknown'

/** The state is read again after this time even without an event: parameters change without one. */
const REREAD_MS = 5 * 60_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/** Announces each step of the chain. */
export interface ChainWatch {
  /** Calls the listener with every update from now on, until `signal` is aborted. */
  subscribe(listener: (update: ChainUpdate) => void, signal: AbortSignal): void
  /** The newest block seen, or null before the first. */
  readonly head: ChainHead | null
}

/** Chain reads about rounds. */
export interface RoundReads {
  roundState(): Promise<RoundState>
  /** How many orchestrators share a sender's reserve. */
  poolSize(): Promise<bigint>
}

/** The protocol's time as this node knows it. */
export interface RoundsView {
  readonly lastInitializedRound: bigint
  readonly l1Block: bigint
  /** See `Rounds.confirmedClock`. */
  readonly confirmedClock: RoundClock | null
  readonly poolSize: bigint
  /** For new tickets: the last initialised round, or the one before while its hash is not known (payments.md §4). */
  readonly expirationParams: ExpirationParams
}

/** The L1 block that a block of the chain refers to. */
interface Look {
  readonly number: bigint
  readonly l1Block: bigint
}

/**
 * Knows the rounds and the L1 block. An event only says that something changed: the state is then read, with retries.
 * A change that an event or a reorganisation explains is believed at once; any other change, forward or back, only once
 * it has been read unchanged over enough blocks.
 */
export class Rounds implements Service, RoundsView {
  readonly name = 'rounds'
  readonly #chain: RoundReads
  readonly #watch: ChainWatch
  readonly #clock: Clock
  readonly #log: Log
  readonly #events: NodeEvents | null
  readonly #unreadable: PassingFailure
  readonly #alarm = new Alarm()
  readonly #onRound = new Listeners<bigint>()
  readonly #onL1Block = new Listeners<bigint>()
  #state: RoundState | null = null
  #poolSize = 0n
  /** The newest blocks looked at, oldest first: those less than `CONFIRMATIONS` deep, and the one before them. */
  #looks: Look[] = []
  /** The newest block followed. */
  #head = 0n
  /** The block at which the present division into rounds was first read; null once it is confirmed. */
  #reckonedSince: bigint | null = 0n
  /** A state that no event explains, and the block at which it was first read. */
  #doubtful: { readonly key: string; readonly since: bigint } | null = null
  /** The newest round that an event announced. */
  #announced = -1n
  /** Counts the updates that require a new read. */
  #wanted = 0
  /** Counts the updates after which a read may show an earlier round, and how many of them were before the last read. */
  #reorganisations = 0
  #accountedFor = 0
  #isFailing = false

  constructor(needs: { chain: RoundReads; watch: ChainWatch; events?: NodeEvents; clock: Clock; log: Log }) {
    this.#chain = needs.chain
    this.#watch = needs.watch
    this.#clock = needs.clock
    this.#log = needs.log
    this.#events = needs.events ?? null
    this.#unreadable = new PassingFailure(
      { message: 'cannot read the state of the rounds, retrying', over: 'state of the rounds read again' },
      needs,
    )
  }

  async start(scope: Scope): Promise<void> {
    const { head } = this.#watch
    if (head) this.#look(head)
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
    return this.#looks.map(({ l1Block }) => l1Block).reduce(larger, 0n)
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
    // Until a block has been followed: the round that was read has begun.
    return roundClockAt(this.#known, this.#looks.length === 0 ? this.#known.startL1Block : this.l1Block)
  }

  /**
   * The same by confirmed blocks, some blocks behind, for irreversible decisions. Null until the chain has been
   * followed long enough.
   */
  get confirmedClock(): RoundClock | null {
    const oldest = this.#looks[0]
    if (this.#reckonedSince !== null || !oldest || !isConfirmed(oldest.number, this.#head)) return null
    const least = this.#looks.map(({ l1Block }) => l1Block).reduce(smaller)
    return roundClockAt(this.#known, least)
  }

  /** Calls the listener whenever a new round is initialised, or a reorganisation changes which is the last. */
  onRound(listener: (round: bigint) => void, signal: AbortSignal): void {
    this.#onRound.add(listener, signal)
  }

  /** Calls the listener with every new L1 block. */
  onL1Block(listener: (block: bigint) => void, signal: AbortSignal): void {
    this.#onL1Block.add(listener, signal)
  }

  get #known(): RoundState {
    if (!this.#state)
      throw new NodeError<RoundsFault>('rounds-unknown', 'the rounds have not been read from the chain yet')
    return this.#state
  }

  #follow(update: ChainUpdate): void {
    const { events, head, keptTo = -1n, reorganised } = update
    const before = this.l1Block
    if (reorganised) {
      this.#reorganisations++
      this.#looks = this.#looks.filter(({ number }) => number <= keptTo)
    }
    this.#look(head)
    for (const event of events) {
      if (event.kind === 'new-round' && event.round > this.#announced) this.#announced = event.round
    }
    // A block after a failed read: the chain answers again.
    if (reorganised || this.#isFailing || events.some(changesRounds) || this.#isToBeConfirmed) {
      this.#wanted++
      this.#alarm.ring()
    }
    const block = this.l1Block
    if (block === before) return
    if (this.#state && block >= this.#state.startL1Block + this.#state.length) this.#alarm.ring()
    this.#onL1Block.tell(block)
  }

  #look({ number, l1Block }: ChainHead): void {
    if (this.#head === 0n && this.#reckonedSince !== null) this.#reckonedSince = number
    this.#head = number
    this.#looks.push({ number, l1Block })
    while (this.#looks.length > 1 && isConfirmed(this.#looks[1]!.number, number)) this.#looks.shift()
  }

  /** Whether an unconfirmed state was read enough blocks ago for another read to confirm it. */
  get #isToBeConfirmed(): boolean {
    const since = this.#doubtful?.since ?? this.#reckonedSince
    return since !== null && isConfirmed(since, this.#head)
  }

  async #keepReading(firstRead: () => void, signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    for (;;) {
      const wanted = this.#wanted
      let waitMs = REREAD_MS
      try {
        const isBelieved = await this.#read()
        this.#isFailing = false
        this.#unreadable.passed()
        firstRead()
        if (isBelieved) retryMs = FIRST_RETRY_MS
        else {
          waitMs = retryMs
          retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)
        }
        // The read may not include what was announced while it ran.
        if (this.#wanted !== wanted) continue
      } catch (error) {
        if (signal.aborted) throw error
        this.#unreadable.failed({ reason: messageOf(error), retryMs })
        this.#isFailing = true
        waitMs = retryMs
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)
      }
      await this.#alarm.wait(this.#clock, waitMs, signal)
    }
  }

  /** Reads the state; returns whether it was believed. */
  async #read(): Promise<boolean> {
    const reorganisations = this.#reorganisations
    const [state, poolSize] = await Promise.all([this.#chain.roundState(), this.#chain.poolSize()])
    const before = this.#state
    if (before && !this.#isBelieved(before, state)) {
      this.#log.debug('unexplained round read from the chain, not believed yet', {
        read: state.lastInitialized,
        current: state.current,
        known: before.lastInitialized,
      })
      return false
    }
    this.#accountedFor = reorganisations
    if (!before || reckoning(before) !== reckoning(state)) this.#reckonedSince = this.#head
    else if (isConsistent(state) && isConfirmed(this.#reckonedSince ?? this.#head, this.#head)) {
      this.#reckonedSince = null
    }
    this.#doubtful = null
    this.#state = state
    this.#poolSize = poolSize
    if (before?.lastInitialized !== state.lastInitialized) {
      this.#log.info('round', { round: state.lastInitialized, poolSize })
      this.#onRound.tell(state.lastInitialized)
      this.#events?.tell({ kind: 'round-begun', round: state.lastInitialized })
    }
    return isConsistent(state)
  }

  /** Whether a state follows from what is known, or has been read unchanged over enough blocks. */
  #isBelieved(before: RoundState, state: RoundState): boolean {
    if (!isConsistent(state)) return false
    if (!isConsistent(before)) return true
    const isReorganised = this.#accountedFor !== this.#reorganisations
    const isExplained =
      state.lastInitialized === before.lastInitialized ||
      isReorganised ||
      (state.lastInitialized > before.lastInitialized && state.lastInitialized <= this.#announced)
    if (isExplained && reckoning(before) === reckoning(state)) return true
    const key = `${state.lastInitialized} ${reckoning(state)}`
    if (this.#doubtful?.key !== key) this.#doubtful = { key, since: this.#head }
    return isConfirmed(this.#doubtful.since, this.#head)
  }
}

/** Whether the values of a state are consistent with each other; wrong answers usually are not. */
function isConsistent({ current, currentInitialized, lastInitialized }: RoundState): boolean {
  return lastInitialized <= current && (lastInitialized === current) === currentInitialized
}

/** How L1 blocks are divided into rounds: the same at every block unless the round length changes. */
function reckoning({ current, length, startL1Block }: RoundState): string {
  return `${length} ${startL1Block - current * length}`
}

function changesRounds(event: ChainUpdate['events'][number]): boolean {
  return (
    event.kind === 'new-round' ||
    event.kind === 'orchestrator-activated' ||
    event.kind === 'orchestrator-deactivated'
  )
}
