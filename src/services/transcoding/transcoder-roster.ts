import { type Capabilities, defaultCapabilities, withTranscoders } from '../../domain/capabilities.ts'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { type Notice, type Registration, shownLabels } from '../../domain/transcoder-notice.ts'
import type { Clock } from '../../lib/clock.ts'
import { equalTexts } from '../../lib/crypto.ts'
import type { Log } from '../../lib/log.ts'
import { DepartedTranscoders } from './departed-transcoders.ts'
import { PoolError } from './pool-error.ts'
import { type LossReason, Member, type TranscoderPeer, type TranscoderState } from './transcoder-member.ts'
import { pulseOf } from './transcoder-pulse.ts'

/** Transcoders that may be registered at once. */
const MAX_TRANSCODERS = 1_000
/** The largest capacity that is believed. */
const MAX_CAPACITY = 1_000
/** How long a transcoder that was late with a segment may go without any answer before it is dropped. */
const LATE_GRACE_MS = 60_000
/** A transcoder that was late with segments of this many gateways is dropped at once. */
const LATE_GATEWAYS = 2

export interface RosterOptions {
  /** What transcoders have to show. */
  readonly secret: string
  /** What this node offers by itself. */
  readonly capabilities: Capabilities
}

export interface RosterNeeds {
  /** How many sessions this node's own engine takes just now; null when it has none. */
  readonly localCapacity: (() => number) | null
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
  readonly causes?: Causes
}

/** What follows for segments and sessions from what happens to transcoders. */
export interface RosterHandlers {
  /** A transcoder may hang; it may still go on. */
  silent(member: Member): void
  /** A transcoder has left the roster and gets no more work; while its connection is there it may finish what it has. */
  left(member: Member): void
  /** Its connection is gone too, or it was dropped. */
  lost(member: Member): void
  /** The transcoders that get work have changed. */
  changed(): void
}

/** The transcoders of an orchestrator: which are registered, which of them get work, and which have left. */
export class TranscoderRoster {
  readonly #options: RosterOptions
  readonly #needs: RosterNeeds
  readonly #handlers: RosterHandlers
  readonly #members = new Set<Member>()
  /** Transcoders that get no more work but whose connection is open: they may finish their tasks. */
  readonly #leaving = new Set<Member>()
  readonly #departed: DepartedTranscoders
  #offer: Capabilities

  constructor(options: RosterOptions, needs: RosterNeeds, handlers: RosterHandlers) {
    this.#options = options
    this.#needs = needs
    this.#handlers = handlers
    this.#departed = new DepartedTranscoders(needs)
    const { capabilities } = options
    this.#offer = capabilities
    const { clock, localCapacity: capacity } = needs
    if (!capacity) return
    const facts = { address: 'local', identity: null, sinceMs: clock.now(), capabilities, isLocal: true }
    this.#members.add(new Member({ ...facts, ...{ name: '', hardware: '' }, capacity }))
  }

  /** All that are registered, and the own engine. */
  get members(): Iterable<Member> {
    return this.#members
  }

  /** Those of other machines. */
  get remote(): Member[] {
    return [...this.#members].filter(({ isLocal }) => !isLocal)
  }

  has(member: Member): boolean {
    return this.#members.has(member)
  }

  /** How many sessions all transcoders together take. */
  get capacity(): number {
    return sum([...this.#members], ({ capacity }) => capacity)
  }

  /** What this node offers with all its transcoders (wire.md §7). */
  get capabilities(): Capabilities {
    return this.#offer
  }

  /** The transcoders of other machines, and those that left lately. */
  status(): TranscoderState[] {
    const here = this.remote.map((member) =>
      member.state(member.isSilent ? 'silent' : member.isDoubtful ? 'too-late' : null),
    )
    const leaving = [...this.#leaving].filter(({ tasks }) => tasks.size > 0)
    return [...here, ...leaving.map((member) => member.state('leaving')), ...this.#departed.states]
  }

  /** Whether a transcoder shows the right secret. */
  knowsSecret(shown: string): boolean {
    const { secret } = this.#options
    return secret !== '' && equalTexts(shown, secret)
  }

  /**
   * Takes a transcoder in for as long as its notices are read, and gives these; ends when it is dropped. Throws PoolError
   * with the texts that end a transcoder: `invalid secret`, `zero capacity` (wire.md §13).
   */
  async *register(
    registration: Registration,
    peer: TranscoderPeer,
    signal: AbortSignal,
  ): AsyncGenerator<Notice, void> {
    const { causes = noCauses, clock } = this.#needs
    const { address } = peer
    if (!this.knowsSecret(registration.secret)) {
      causes.met({ code: 'transcoder-refused', facts: { address } }, hostOf(address))
      throw new PoolError('invalid-secret', 'invalid secret')
    }
    if (registration.capacity <= 0) throw new PoolError('zero-capacity', 'zero capacity')
    if (this.#members.size >= MAX_TRANSCODERS) {
      throw new PoolError('no-transcoder', `there are ${MAX_TRANSCODERS} transcoders already`)
    }
    const capabilities = registration.capabilities ?? defaultCapabilities('')
    const capacity = Math.min(registration.capacity, MAX_CAPACITY)
    const { hardware, name } = shownLabels(registration)
    const member = new Member({
      ...{ name, hardware },
      ...{ address, identity: peer.identity ?? null, sinceMs: clock.now(), capabilities, isLocal: false },
      capacity: () => capacity,
    })
    this.#members.add(member)
    this.#departed.registered()
    const { version } = capabilities
    this.#needs.events.tell({ kind: 'peer-up', peer: 'transcoder', ...labelsOf(member), capacity, version })
    this.#changed()
    const over = new AbortController()
    this.#watch(member, peer, over.signal).catch(() => {})
    try {
      yield* member.notices(clock, signal)
    } finally {
      over.abort()
      this.#leave(member, peer)
    }
  }

  /** Whether a transcoder is expected back that can do such a segment: that of its session, or any where none is left. */
  isAwaited(sessionId: string, wanted: Capabilities | null): boolean {
    return this.#departed.isAwaited({ sessionId, wanted, isNoneLeft: this.#members.size === 0 })
  }

  /**
   * A transcoder was late with a segment of a gateway (or of a session where no gateway is known) and answered nothing
   * meanwhile. It may hang: it gets work last, and is dropped once several gateways bear that out or it has answered
   * nothing for long.
   */
  late(member: Member, gateway: string): void {
    if (!this.#members.has(member)) return
    const isNew = !member.isDoubtful
    member.lateFor.add(gateway)
    if (member.lateFor.size >= LATE_GATEWAYS) this.drop(member, 'too-late')
    if (!this.#members.has(member) || !isNew) return
    const { clock, log } = this.#needs
    log.warn('transcoder was late with a segment and answers nothing else', { address: member.address })
    const sinceMs = clock.now()
    clock.sleep(LATE_GRACE_MS, member.over.signal).then(
      () => {
        const hasAnswered = (member.lastAnswerMs ?? Number.NEGATIVE_INFINITY) >= sinceMs
        if (!hasAnswered) this.drop(member, 'too-late')
      },
      () => {},
    )
    this.#handlers.silent(member)
  }

  /** Drops a transcoder; its segments go to others. */
  drop(member: Member, reason: LossReason): void {
    if (!this.#members.has(member)) return
    this.#takeOut(member, reason)
    this.#handlers.lost(member)
  }

  /** Tells metrics how many transcoders there are, and their load. */
  count(): void {
    const { remote } = this
    this.#needs.events.tell({
      kind: 'transcoders-changed',
      count: remote.length,
      capacity: sum(remote, ({ capacity }) => capacity),
      load: sum(remote, ({ sessions }) => sessions.size),
    })
  }

  /** While a transcoder does not answer pings it gets no session, and others get its segments too. */
  async #watch(member: Member, { address, ping }: TranscoderPeer, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    for await (const pulse of pulseOf(ping, clock, signal)) {
      if (pulse === 'lost') return this.drop(member, 'silent')
      member.isSilent = pulse === 'silent'
      log.warn(member.isSilent ? 'transcoder does not answer pings' : 'transcoder answers pings again', {
        ...{ address, running: member.tasks.size },
      })
      if (member.isSilent) this.#handlers.silent(member)
      else this.#changed()
    }
  }

  /** Its stream has ended. While its connection is open it may finish its tasks; then others get them. */
  #leave(member: Member, { gone }: TranscoderPeer): void {
    if (!this.#members.has(member)) return
    this.#takeOut(member, 'stream-ended')
    if (gone.aborted) this.#handlers.lost(member)
    else if (member.tasks.size > 0) {
      this.#leaving.add(member)
      const lose = () => {
        this.#leaving.delete(member)
        this.#handlers.lost(member)
      }
      gone.addEventListener('abort', lose, { once: true })
    }
  }

  #takeOut(member: Member, reason: LossReason): void {
    const { tasks } = member
    this.#members.delete(member)
    this.#departed.add(member, reason)
    member.close()
    this.#handlers.left(member)
    const running = tasks.size
    this.#needs.events.tell({ kind: 'peer-down', peer: 'transcoder', ...labelsOf(member), reason, running })
    this.#changed()
  }

  #changed(): void {
    this.#offer = withTranscoders(
      this.#options.capabilities,
      this.remote.map(({ capabilities }) => capabilities),
    )
    this.#handlers.changed()
    this.count()
  }
}

/** A transcoder's names in log lines. */
function labelsOf({ address, hardware, name }: Member): { name: string; address: string; hardware: string } {
  return { name, address, hardware }
}

function sum(members: readonly Member[], of: (member: Member) => number): number {
  return members.reduce((total, member) => total + of(member), 0)
}

/** An address without its port, which differs with every connection. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '')
}
