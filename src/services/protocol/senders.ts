import type { ChainUpdate } from '../../domain/chain.ts'
import { clampFloat, maxFloat, payableAtMost, reserveShare, type SenderInfo } from '../../domain/float.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { Listeners } from '../../lib/listeners.ts'
import { PeerLimits } from '../../lib/peer-limits.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { CachedRead } from './cached-read.ts'
import type { ChainWatch } from './rounds.ts'

/**
 * The most senders with funds to remember; the least recently used are dropped and read again when they return. Senders
 * without funds are kept separately, up to the same number, so that made-up addresses displace no sender with funds.
 */
const MAX_SENDERS = 10_000
/**
 * Limits on looking up unknown senders on chain, at two calls each, for all hosts and for one. After a restart all
 * gateways arrive within minutes; behind a balancer they share one host.
 */
const LOOKUPS = { callsPerSecond: 2, burst: 60 }
const LOOKUPS_PER_HOST = { callsPerSecond: 0.5, burst: 20 }
/** A sender's funds are read again after this time even without an event. */
const REFRESH_MS = 10 * 60_000
/** While the chain cannot be read, funds up to this old still count. */
const MAX_AGE_MS = 30 * 60_000

/** Chain reads about a sender. */
export interface SenderReads {
  senderInfo(sender: Address): Promise<SenderInfo>
  /** What `claimant` has claimed from the holder's reserve in the current round. */
  claimedReserve(holder: Address, claimant: Address): Promise<bigint>
}

interface Funds {
  readonly info: SenderInfo
  readonly claimed: bigint
}

/** The funds of each sender, and the part that one recipient can count on; cached until an event announces a change. */
export class Senders implements Service {
  readonly name = 'senders'
  readonly #claimant: Address
  readonly #chain: SenderReads
  readonly #watch: ChainWatch
  readonly #rounds: { readonly poolSize: bigint }
  readonly #clock: Clock
  readonly #maxSenders: number
  readonly #known = new Map<Address, CachedRead<Funds>>()
  /** Senders known to have no funds. */
  readonly #penniless = new Map<Address, CachedRead<Funds>>()
  readonly #lookups: PeerLimits
  readonly #lookupsPerHost: PeerLimits
  readonly #pending = new Map<Address, { readonly amount: bigint; readonly count: number }>()
  readonly #onChange = new Listeners<Address | null>()

  constructor(
    options: { /** The recipient of all tickets. */ claimant: Address; maxSenders?: number },
    needs: { chain: SenderReads; watch: ChainWatch; rounds: { readonly poolSize: bigint }; clock: Clock },
  ) {
    this.#claimant = options.claimant
    this.#maxSenders = options.maxSenders ?? MAX_SENDERS
    this.#chain = needs.chain
    this.#watch = needs.watch
    this.#rounds = needs.rounds
    this.#clock = needs.clock
    this.#lookups = new PeerLimits({ ...LOOKUPS, streams: 0 }, needs)
    this.#lookupsPerHost = new PeerLimits({ ...LOOKUPS_PER_HOST, streams: 0 }, needs)
  }

  start(scope: Scope): void {
    this.#watch.subscribe((update) => this.#follow(update), scope.signal)
  }

  /**
   * Whether a stranger may make this node ask the chain about a sender now; counts the lookup against the limits of all
   * hosts and of `host`, which is null for a node of this operator.
   */
  mayLookUp(sender: Address, host: string | null): boolean {
    if (this.#known.has(sender)) return true
    const ageMs = this.#penniless.get(sender)?.ageMs ?? null
    if (ageMs !== null && ageMs < REFRESH_MS) return true
    return (host === null || this.#lookupsPerHost.takeCall(host)) && this.#lookups.takeCall('all')
  }

  /** The sender's funds as the chain has them. Throws what the chain throws. */
  async info(sender: Address): Promise<SenderInfo> {
    return (await this.#read(sender)).info
  }

  /** The funds that all tickets of this sender share, in wei; always read anew. */
  async currentFunds(sender: Address): Promise<bigint> {
    this.#funds(sender).invalidate()
    const { info, claimed } = await this.#read(sender)
    return info.deposit + clampFloat(reserveShare(info, this.#rounds.poolSize, claimed))
  }

  /** The most that its tickets can be paid before they expire, in wei, by its funds as last read. */
  async payable(sender: Address): Promise<bigint> {
    const { info, claimed } = await this.#read(sender)
    return payableAtMost(info, this.#rounds.poolSize, claimed)
  }

  /** The largest face value a ticket of this sender should have now, in wei; never below 0 (payments.md §10). */
  async maxFloat(sender: Address): Promise<bigint> {
    const { info, claimed } = await this.#read(sender)
    const share = reserveShare(info, this.#rounds.poolSize, claimed)
    return clampFloat(maxFloat(share, info.deposit, this.pending(sender)))
  }

  /** Face values of the sender's winning tickets that are not redeemed yet, in wei. */
  pending(sender: Address): bigint {
    return this.#pending.get(sender)?.amount ?? 0n
  }

  /** How many winning tickets of the sender are not redeemed yet. */
  pendingTickets(sender: Address): number {
    return this.#pending.get(sender)?.count ?? 0
  }

  /** Counts one winning ticket to be redeemed; a negative amount stops counting one. */
  addPending(sender: Address, amount: bigint): void {
    const sum = this.pending(sender) + amount
    const count = this.pendingTickets(sender) + (amount < 0n ? -1 : 1)
    if (sum <= 0n) this.#pending.delete(sender)
    else this.#pending.set(sender, { amount: sum, count })
    this.#onChange.tell(sender)
  }

  /** Calls the listener with a sender whose max float may have changed, or with null when any may have. */
  onChange(listener: (sender: Address | null) => void, signal: AbortSignal): void {
    this.#onChange.add(listener, signal)
  }

  /** Milliseconds since the sender's funds were read, or null if they never were. */
  ageMs(sender: Address): number | null {
    return (this.#known.get(sender) ?? this.#penniless.get(sender))?.ageMs ?? null
  }

  /** How many senders are remembered. */
  get size(): number {
    return this.#known.size + this.#penniless.size
  }

  async #read(sender: Address): Promise<Funds> {
    const cached = this.#funds(sender)
    const funds = await cached.get()
    this.#remember(sender, cached, funds.info.deposit > 0n || funds.info.fundsRemaining > 0n)
    return funds
  }

  #funds(sender: Address): CachedRead<Funds> {
    const isKnown = this.#known.has(sender)
    const funds = (isKnown ? this.#known : this.#penniless).get(sender) ?? this.#newFunds(sender)
    this.#remember(sender, funds, isKnown)
    return funds
  }

  #remember(sender: Address, funds: CachedRead<Funds>, hasFunds: boolean): void {
    this.#known.delete(sender)
    this.#penniless.delete(sender)
    const senders = hasFunds ? this.#known : this.#penniless
    senders.set(sender, funds)
    if (senders.size > this.#maxSenders) senders.delete(senders.keys().next().value!)
  }

  #newFunds(sender: Address): CachedRead<Funds> {
    const read = async () => {
      const [info, claimed] = await Promise.all([
        this.#chain.senderInfo(sender),
        this.#chain.claimedReserve(sender, this.#claimant),
      ])
      return { info, claimed }
    }
    return new CachedRead({ refreshMs: REFRESH_MS, maxAgeMs: MAX_AGE_MS }, { read, clock: this.#clock })
  }

  #follow(update: ChainUpdate): void {
    // The reorganisation may have undone the funding of any sender.
    if (update.reorganised) this.#penniless.clear()
    const changed = new Set(update.events.flatMap((event) => ('sender' in event ? [event.sender] : [])))
    for (const sender of changed) {
      this.#known.get(sender)?.invalidate()
      this.#penniless.get(sender)?.invalidate()
    }
    // A new round resets all claims; only senders with funds have any.
    if (update.reorganised || update.events.some(({ kind }) => kind === 'new-round')) {
      for (const funds of this.#known.values()) funds.invalidate()
      this.#onChange.tell(null)
    } else for (const sender of changed) this.#onChange.tell(sender)
  }
}
