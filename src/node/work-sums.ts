import type { Role } from '../config/settings.ts'
import type { NodeEvent } from '../domain/events.ts'
import type { Fields } from '../lib/log.ts'
import { Rational } from '../lib/rational.ts'

/** What a node has done since its sums were last taken, for each of its roles. Amounts are wei. */
export class WorkSums {
  readonly #roles: ReadonlySet<Role>
  #sums = nothing()

  constructor(roles: ReadonlySet<Role>) {
    this.#roles = roles
  }

  /** Counts an event. */
  hear(event: NodeEvent): void {
    const sums = this.#sums
    switch (event.kind) {
      case 'segment-done':
        addTo(sums[event.side], event)
        break
      case 'segment-failed':
        sums[event.side].failed++
        break
      case 'session-begun':
        sums.sessions++
        break
      case 'stream-begun':
        sums.streams++
        break
      case 'payment-sent':
        sums.ticketsSent += event.tickets
        sums.sent = sums.sent.add(event.value)
        break
      case 'tickets-received':
        sums.ticketsReceived += event.tickets
        sums.received = sums.received.add(event.credit)
        break
      case 'ticket-won':
        sums.winners++
        sums.wonWei += event.faceValue
        break
      case 'ticket-handed-in':
        sums.handedIn++
        break
      case 'ticket-delivered':
        sums.delivered++
        break
      case 'ticket-redeemed':
        sums.redeemed++
        sums.paidWei += event.paid ?? 0n
        sums.feeWei += event.fee ?? 0n
        break
      case 'ticket-refused':
        sums.lost++
        break
      case 'reward-called':
        sums.rewards++
        sums.rewardLptu += event.reward
        sums.rewardFeeWei += event.fee
        break
      case 'round-initialized':
        sums.rounds++
        sums.roundFeeWei += event.fee
        break
    }
  }

  /** The sums of each role, as fields of its line; counting begins anew. */
  take(): Fields[] {
    const sums = this.#sums
    this.#sums = nothing()
    const roles = new Set(this.#roles)
    // An orchestrator counts what its own engine does, and any node may call reward.
    if (roles.has('orchestrator')) roles.delete('transcoder')
    if (sums.rewards > 0) roles.add('reward')
    return [...roles].map((role) => ({ role, ...of(role, sums) }))
  }
}

/** Segments, and what they came to. */
export interface Work {
  segments: number
  failed: number
  durationMs: number
  pixels: bigint
}

/** No segment yet. */
export function noWork(): Work {
  return { segments: 0, failed: 0, durationMs: 0, pixels: 0n }
}

/** Adds a segment that was done. */
export function addTo(work: Work, done: { readonly durationMs: number; readonly pixels: bigint }): void {
  work.segments++
  work.durationMs += done.durationMs
  work.pixels += done.pixels
}

type Sums = ReturnType<typeof nothing>

function nothing() {
  return {
    ...{ gateway: noWork(), orchestrator: noWork(), transcoder: noWork() },
    ...{ streams: 0, ticketsSent: 0, sent: Rational.zero },
    ...{ sessions: 0, ticketsReceived: 0, received: Rational.zero, winners: 0, wonWei: 0n },
    ...{ handedIn: 0, delivered: 0, redeemed: 0, paidWei: 0n, feeWei: 0n, lost: 0 },
    ...{ rewards: 0, rewardLptu: 0n, rewardFeeWei: 0n, rounds: 0, roundFeeWei: 0n },
  }
}

function of(role: Role, sums: Sums): Fields {
  const { feeWei, lost, paidWei, redeemed } = sums
  switch (role) {
    case 'gateway': {
      const { sent: sentWei, streams, ticketsSent: tickets } = sums
      return { streams, ...workFacts(sums.gateway), tickets, sentWei }
    }
    case 'orchestrator': {
      const { delivered, received: receivedWei, sessions, ticketsReceived: tickets, winners, wonWei } = sums
      const earned = { tickets, receivedWei, winners, wonWei, delivered, redeemed, paidWei, feeWei, lost }
      return { sessions, ...workFacts(sums.orchestrator), ...earned }
    }
    case 'transcoder':
      return workFacts(sums.transcoder)
    case 'redeemer':
      return { handedIn: sums.handedIn, redeemed, paidWei, feeWei, lost }
    case 'reward':
      return { rewards: sums.rewards, rewardLptu: sums.rewardLptu, feeWei: sums.rewardFeeWei }
    case 'roundInitializer':
      return { initialised: sums.rounds, feeWei: sums.roundFeeWei }
  }
}

/** The facts of work in a log line: its segments, the minutes of video and the pixels that they had. */
export function workFacts({ durationMs, failed, pixels, segments }: Work): Fields {
  return { segments, failed, minutes: Math.round(durationMs / 6_000) / 10, pixels }
}
