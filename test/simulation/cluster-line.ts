import type { ChainHead, ChainUpdate, OrchestratorState, RoundState } from '../../src/domain/chain.ts'
import type { SenderInfo } from '../../src/domain/float.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { Listeners } from '../../src/lib/listeners.ts'
import type {
  RedeemOptions,
  RedemptionChain,
  RedemptionResult,
  Simulation,
} from '../../src/services/redemption/redemption-chain.ts'
import type { FoundRedemption } from '../../src/services/redemption/redemption-proofs.ts'
import type { FakeChain } from '../fakes/chain.ts'

/** One request in this many gets no answer although the endpoint is up. */
const REQUESTS_PER_FAILURE = 300
/** Receipts are not waited for longer, as with real transactions. */
const RECEIPT_MS = 120_000

/**
 * One process's connection to the chain through its own RPC endpoint, which can be down while others are up. Afterwards
 * it is told what it missed, but not what happened before it started.
 */
export class ChainLine implements RedemptionChain {
  readonly #account: string
  readonly #chain: FakeChain
  readonly #clock: Clock
  readonly #dice: Dice
  readonly #listeners = new Listeners<ChainUpdate>()
  readonly #waiting = new Set<() => void>()
  #missed: ChainUpdate[] = []
  #isDown: boolean
  #head: ChainHead | null

  constructor(
    options: { account: string; isDown: boolean },
    needs: { chain: FakeChain; clock: Clock; dice: Dice; signal: AbortSignal },
  ) {
    this.#account = options.account
    this.#isDown = options.isDown
    this.#chain = needs.chain
    this.#clock = needs.clock
    this.#dice = needs.dice
    this.#head = options.isDown ? null : needs.chain.head
    needs.chain.subscribe((update) => {
      if (this.#isDown) this.#missed.push(update)
      else this.#tell(update)
    }, needs.signal)
  }

  get isDown(): boolean {
    return this.#isDown
  }

  set isDown(isDown: boolean) {
    if (this.#isDown === isDown) return
    this.#isDown = isDown
    if (isDown) return
    for (const update of this.#missed.splice(0)) this.#tell(update)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  get head(): ChainHead | null {
    return this.#head
  }

  subscribe(listener: (update: ChainUpdate) => void, signal: AbortSignal): void {
    this.#listeners.add(listener, signal)
  }

  get gasPrice(): bigint {
    return this.#chain.gasPrice
  }

  assertBelowMax(): void {
    this.#chain.assertBelowMax()
  }

  roundState(): Promise<RoundState> {
    return this.#ask(() => this.#chain.roundState())
  }

  poolSize(): Promise<bigint> {
    return this.#ask(() => this.#chain.poolSize())
  }

  orchestrator(): Promise<OrchestratorState> {
    return this.#ask(() => this.#chain.orchestrator())
  }

  senderInfo(sender: Address): Promise<SenderInfo> {
    return this.#ask(() => this.#chain.senderInfo(sender))
  }

  claimedReserve(holder: Address): Promise<bigint> {
    return this.#ask(() => this.#chain.claimedReserve(holder))
  }

  isTicketUsed(hash: Uint8Array): Promise<boolean> {
    return this.#ask(() => this.#chain.isTicketUsed(hash))
  }

  simulate(ticket: WinningTicket): Promise<Simulation> {
    return this.#ask(() => this.#chain.simulate(ticket))
  }

  redemptionIn(txHash: Hex, ticket: WinningTicket): Promise<FoundRedemption | null> {
    return this.#ask(() => this.#chain.redemptionIn(txHash, ticket, this.#account))
  }

  hasExpired(creationRound: bigint): Promise<boolean> {
    return this.#ask(() => this.#chain.hasExpired(creationRound))
  }

  announcedRedemptions(recipient: Address, from: bigint): Promise<ChainUpdate['events']> {
    return this.#ask(() => this.#chain.announcedRedemptions(recipient, from))
  }

  async redeem(
    ticket: WinningTicket,
    options: RedeemOptions,
    signal: AbortSignal,
  ): Promise<RedemptionResult> {
    this.#assertUp()
    const limit = new AbortController()
    const stop = () => limit.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    const mined = this.#chain
      .redeem(ticket, options, limit.signal, this.#account)
      .then((result) => this.#whenUp(result))
    const late = this.#clock.sleep(RECEIPT_MS, limit.signal).then((): RedemptionResult => {
      return { kind: 'timed-out', txHash: formatHex(ticketHash(ticket)) }
    })
    try {
      return await Promise.race([mined, late])
    } finally {
      signal.removeEventListener('abort', stop)
      limit.abort()
      mined.catch(() => {})
      late.catch(() => {})
    }
  }

  async #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    this.#assertUp()
    if (this.#dice.fraction() * REQUESTS_PER_FAILURE < 1) throw unreachable()
    const answer = await ask()
    this.#assertUp()
    return answer
  }

  async #whenUp<Answer>(answer: Answer): Promise<Answer> {
    while (this.#isDown) await new Promise<void>((wake) => this.#waiting.add(wake))
    return answer
  }

  #tell(update: ChainUpdate): void {
    this.#head = update.head
    this.#listeners.tell(update)
  }

  #assertUp(): void {
    if (this.#isDown) throw unreachable()
  }
}

function unreachable(): NodeError<'chain-unreachable'> {
  return new NodeError('chain-unreachable', 'no answer from the chain')
}
