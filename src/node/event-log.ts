import type { Role } from '../config/settings.ts'
import type { NodeEvent, NodeEventOf, SessionEnd, SessionOpening } from '../domain/events.ts'
import type { Profile } from '../domain/rendition.ts'
import type { Clock } from '../lib/clock.ts'
import type { Fields, Log } from '../lib/log.ts'
import { Rational } from '../lib/rational.ts'
import type { Scope, Service } from '../lib/service.ts'
import { addTo, noWork, type Work, WorkSums, workFacts } from './work-sums.ts'

/** Without rounds, sums are written this often. */
const HOUR_MS = 3_600_000

export interface EventLogNeeds {
  readonly roles: ReadonlySet<Role>
  /** Whether there are rounds. */
  readonly isOnChain: boolean
  readonly clock: Clock
  readonly log: Log
}

/**
 * Writes what a node does, at level info, as it hears of it: sessions and streams, tickets, transcoders, rewards and
 * rounds; and what each role has done in a round, or offchain in an hour.
 */
export class EventLog implements Service {
  readonly name = 'event log'
  readonly #needs: EventLogNeeds
  readonly #sessions = new Map<string, OpenSession>()
  readonly #streams = new Map<string, OpenStream>()
  readonly #sums: WorkSums
  #round: bigint | null = null

  constructor(needs: EventLogNeeds) {
    this.#needs = needs
    this.#sums = new WorkSums(needs.roles)
  }

  start(scope: Scope): void {
    scope.defer(() => {
      for (const sessionId of [...this.#sessions.keys()])
        this.#write(this.#endSession(sessionId, 'node-stopping'))
    })
    if (this.#needs.isOnChain) return
    scope.spawn('write the sums of each hour', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(HOUR_MS, signal)
        for (const sums of this.#sums.take()) this.#needs.log.info('work of the last hour', sums)
      }
    })
  }

  /** Takes note of an event. */
  hear(event: NodeEvent): void {
    this.#sums.hear(event)
    const write = WRITERS[event.kind] as ((event: NodeEvent) => Line | null) | undefined
    this.#write(write?.(event) ?? this.#ofWork(event))
  }

  #write(line: Line | null): void {
    if (line) this.#needs.log[line.level ?? 'info'](line.says, line.facts)
  }

  /** The lines of what lasts: its sums are kept until it ends. */
  #ofWork(event: NodeEvent): Line | null {
    switch (event.kind) {
      case 'round-begun':
        this.#beginRound(event.round)
        return null
      case 'ticket-won':
        // A redeemer hears of these as handed in.
        return this.#needs.roles.has('orchestrator')
          ? { says: 'ticket won', facts: ticketFacts(event) }
          : null
      case 'session-begun':
        this.#sessions.set(event.sessionId, { ...event, ...noWork(), received: Rational.zero })
        return null
      case 'tickets-received': {
        const session = this.#sessions.get(event.sessionId)
        if (session) session.received = session.received.add(event.credit)
        return null
      }
      case 'segment-done':
        if (event.side === 'orchestrator') return this.#doneInSession(event)
        if (event.side === 'gateway') {
          const stream = this.#streams.get(event.manifestId)
          if (stream) {
            addTo(stream, event)
            stream.orchestrators.add(event.orchestrator)
          }
        }
        return null
      case 'segment-failed': {
        if (event.side === 'transcoder') return null
        const work =
          event.side === 'gateway' ? this.#streams.get(event.manifestId) : this.#sessions.get(event.sessionId)
        if (work) work.failed++
        return null
      }
      case 'session-ended':
        return this.#endSession(event.sessionId, event.reason)
      case 'stream-begun': {
        const { manifestId, profiles } = event
        const orchestrators = new Set<string>()
        this.#streams.set(manifestId, { ...noWork(), orchestrators, sent: Rational.zero })
        return { says: 'stream begun', facts: { stream: manifestId, profiles: described(profiles) } }
      }
      case 'payment-sent': {
        const stream = this.#streams.get(event.manifestId)
        if (stream) stream.sent = stream.sent.add(event.value)
        return null
      }
      case 'stream-ended':
        return this.#endStream(event)
      default:
        return null
    }
  }

  #doneInSession(event: NodeEventOf<'segment-done'> & { side: 'orchestrator' }): Line | null {
    const { price, sessionId } = event
    const session = this.#sessions.get(sessionId)
    if (!session) return null
    const isFirst = session.segments === 0
    addTo(session, event)
    if (!isFirst) return null
    // Written now, not when a place was taken: anyone may ask for one.
    const facts = {
      ...placeOf(session),
      profiles: described(session.profiles),
      ...(price && { pricePerPixelWei: price }),
    }
    return { says: 'session begun', facts: { session: sessionId, ...facts } }
  }

  /** A session that goes on at the node's end is not over: the node takes it up again, or a sibling does. */
  #endSession(sessionId: string, reason: SessionEnd | 'node-stopping'): Line | null {
    const session = this.#sessions.get(sessionId)
    this.#sessions.delete(sessionId)
    if (!session) return null
    const facts = { session: sessionId, ...placeOf(session), reason, ...workFacts(session) }
    return {
      level: session.segments > 0 ? 'info' : 'debug',
      says: 'session ended',
      facts: { ...facts, receivedWei: session.received },
    }
  }

  #endStream({ manifestId, reason }: NodeEventOf<'stream-ended'>): Line | null {
    const stream = this.#streams.get(manifestId)
    this.#streams.delete(manifestId)
    if (!stream) return null
    const facts = { stream: manifestId, reason, ...workFacts(stream) }
    return {
      says: 'stream ended',
      facts: { ...facts, orchestrators: stream.orchestrators.size, sentWei: stream.sent },
    }
  }

  #beginRound(round: bigint): void {
    const ended = this.#round
    this.#round = round
    // The first one that is heard of began before this node.
    if (ended === null || ended === round) return
    for (const sums of this.#sums.take())
      this.#needs.log.info('work of the last round', { round: ended, ...sums })
  }
}

interface Line {
  /** `info` unless given. */
  readonly level?: 'warn' | 'info' | 'debug'
  readonly says: string
  readonly facts: Fields
}

interface OpenSession extends Work, SessionOpening {
  received: Rational
}

interface OpenStream extends Work {
  readonly orchestrators: Set<string>
  sent: Rational
}

/** The lines of events that stand for themselves. */
const WRITERS: { readonly [Kind in NodeEvent['kind']]?: (event: NodeEventOf<Kind>) => Line | null } = {
  'ticket-handed-in': (event) => ({ says: 'ticket handed in', facts: ticketFacts(event) }),
  'ticket-delivered': (event) => ({
    says: 'ticket delivered',
    facts: { ...ticketFacts(event), redeemer: event.redeemer },
  }),
  'ticket-redeemed': (event) => ({
    says: 'ticket redeemed',
    facts: { ...ticketFacts(event), paidWei: event.paid, feeWei: event.fee, txHash: event.txHash },
  }),
  'peer-up': (event) =>
    event.peer === 'transcoder'
      ? {
          says: 'transcoder connected',
          facts: { ...labels(event), capacity: event.capacity, version: event.version },
        }
      : null,
  'peer-down': (event) => {
    if (event.peer !== 'transcoder') return null
    const { reason, running } = event
    const isHarmless = running === 0 && reason === 'stream-ended'
    return {
      ...(!isHarmless && { level: 'warn' }),
      says: 'transcoder disconnected',
      facts: { ...labels(event), reason, running },
    }
  },
  'reward-called': ({ fee, reward, round, txHash }) => ({
    says: 'reward called',
    facts: { round, rewardLptu: reward, feeWei: fee, txHash },
  }),
  'round-initialized': ({ fee, round }) => ({ says: 'round initialised', facts: { round, feeWei: fee } }),
}

function ticketFacts({ faceValue, sender, ticket }: { faceValue: bigint; sender: string; ticket: string }) {
  return { ticket, sender, faceValueWei: faceValue }
}

function labels({ address, hardware, name }: { name: string; address: string; hardware: string }): Fields {
  return { ...(name !== '' && { name }), address, ...(hardware !== '' && { hardware }) }
}

function placeOf({ gateway, host }: SessionOpening): Fields {
  return { ...(gateway !== null && { gateway }), ...(host !== null && { host }) }
}

/** `1280x720@30 640x360`: sizes, and rates where they are set. */
function described(profiles: readonly Profile[]): string {
  return profiles.map(({ fps, fpsDen, height, width }) => `${width}x${height}${rate(fps, fpsDen)}`).join(' ')
}

function rate(fps: number, fpsDen: number): string {
  return fps === 0 ? '' : `@${Math.round((fps / Math.max(1, fpsDen)) * 100) / 100}`
}
