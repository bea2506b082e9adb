import type { Hex } from '../lib/bytes.ts'
import type { Address } from '../lib/crypto.ts'
import type { Rational } from '../lib/rational.ts'
import type { CauseCode, Side } from './cause-facts.ts'
import type { Cause } from './causes.ts'
import type { Profile } from './rendition.ts'
import type { ResendCause } from './resend.ts'
import type { ResultFault } from './result-comparison.ts'
import type { PricePerPixel } from './ticket.ts'
import type { RefusalReason } from './ticket-state.ts'

/**
 * What happens in a node, each thing told once, when it is a fact: after it was written down, where it is written down.
 * Metrics and status count these; any other listener can join (`src/node/event-stream.ts`). Amounts are wei, times milliseconds.
 */
export type NodeEvent =
  | PaymentEvent
  | TicketEvent
  | SessionEvent
  | StreamEvent
  | PublisherEvent
  | RecordingEvent
  | SegmentEvent
  | SegmentTransferEvent
  | PublishingEvent
  | RoundEvent
  | PeerEvent
  | ProblemEvent
  | SettingEvent

/** Where services tell what happens. */
export interface NodeEvents {
  tell(event: NodeEvent): void
}

/** One kind of event. */
export type NodeEventOf<Kind extends NodeEvent['kind']> = Extract<NodeEvent, { kind: Kind }>

/** A payment of a gateway: on the gateway's side sent and accepted, on the orchestrator's received or refused. */
export type PaymentEvent =
  /** `sessionId`: what the credit belongs to; that of a payment without a segment is the manifest. */
  | {
      kind: 'tickets-received'
      sender: Address
      manifestId: string
      sessionId: string
      tickets: number
      winners: number
      credit: Rational
    }
  /** `winners`: tickets that won all the same, and are kept. `reason` is a code. */
  | { kind: 'payment-refused'; sender: Address; manifestId: string; winners: number; reason: string }
  /** An orchestrator offered a sender tickets of this face value; its max float at that moment. */
  | { kind: 'ticket-params-offered'; sender: Address; faceValue: bigint; maxFloat: bigint }
  | ({ kind: 'payment-sent' } & SentPayment)
  | ({ kind: 'payment-accepted' } & SentPayment)

interface SentPayment {
  manifestId: string
  /** URL. */
  orchestrator: string
  tickets: number
  /** The expected value of the tickets. */
  value: Rational
}

/** A winning ticket, from the moment it is on disk here to its end. */
export type TicketEvent =
  | ({ kind: 'ticket-won' } & WinningTicketFacts)
  /** A redeemer took it from an orchestrator of the same operator. */
  | ({ kind: 'ticket-handed-in' } & WinningTicketFacts)
  /** A redeemer refused it; `reason` is a code. */
  | { kind: 'handed-ticket-refused'; reason: string }
  /** A redeemer has it on disk. */
  | ({ kind: 'ticket-delivered'; redeemer: string } & WinningTicketFacts)
  | { kind: 'ticket-delivery-failed'; redeemer: string; reason: string }
  /** Seen on chain; `fee` is null where another account paid it, `paid` where the chain does not tell. */
  | ({
      kind: 'ticket-redeemed'
      paid: bigint | null
      fee: bigint | null
      txHash: Hex | null
    } & WinningTicketFacts)
  | { kind: 'ticket-refused'; sender: Address; faceValue: bigint; reason: RefusalReason }
  /** A reorganisation undid its redemption; `paid` and `fee` as they were told with it. */
  | ({ kind: 'ticket-reopened'; paid: bigint | null; fee: bigint | null } & WinningTicketFacts)
  /** One attempt; the ticket stays open. */
  | { kind: 'redemption-failed'; sender: Address; reason: string }

interface WinningTicketFacts {
  /** Its hash. */
  ticket: Hex
  sender: Address
  faceValue: bigint
}

/** Why an orchestrator's session ended: its gateway said so, sent nothing for too long, or never had a segment done. */
export type SessionEnd = 'ended-by-gateway' | 'idle' | 'no-segment-finished'

/** Who opened an orchestrator's session, and for what. */
export interface SessionOpening {
  /** The account that pays; null offchain. */
  gateway: Address | null
  /** Where its call came from; null where that is not known. */
  host: string | null
  profiles: readonly Profile[]
}

/** An orchestrator's sessions; `running` is their number afterwards. */
export type SessionEvent =
  | ({ kind: 'session-begun'; sessionId: string; running: number } & SessionOpening)
  | { kind: 'session-ended'; sessionId: string; reason: SessionEnd; running: number }

/**
 * Why a segment goes to another orchestrator than the one before: that failed, has segments that take too long, was too
 * slow with the last one, asks for more than the maximum price, or was paid more than twice what it delivered.
 */
export const SWAP_REASONS = ['failed', 'busy', 'slow', 'too-expensive', 'overpaid'] as const
export type SwapReason = (typeof SWAP_REASONS)[number]

/** What a verifier says of a result; `none` where it says nothing. */
export const VERIFIER_VERDICTS = ['good', 'tampered', 'audio-mismatch', 'video-unavailable', 'none'] as const

/** A gateway's streams and the orchestrators that work for them. */
export type StreamEvent =
  | { kind: 'stream-begun'; manifestId: string; profiles: readonly Profile[] }
  | { kind: 'stream-ended'; manifestId: string; reason: string }
  | {
      kind: 'segment-arrived'
      side: 'gateway'
      manifestId: string
      sequence: bigint
      durationMs: number
      bytes: number
      /** The publisher's address; null where it is not known. */
      clientIp: string | null
    }
  /** On an orchestrator; `tookMs` from its admission until its bytes were here, `clientIp` the gateway's host. */
  | {
      kind: 'segment-arrived'
      side: 'orchestrator'
      sessionId: string
      manifestId: string
      durationMs: number
      bytes: number
      tookMs: number
      clientIp: string | null
    }
  /** A search asked this address, which gave no offer. `reason` is a code. */
  | { kind: 'discovery-failed'; orchestrator: string; reason: string }
  /** The segment goes to an orchestrator once more, for the `attempt`th time. */
  | { kind: 'segment-retried'; manifestId: string; sequence: bigint; attempt: number }
  /** The segment goes to the same orchestrator again at once, which says nothing against it; no attempt of its own. */
  | {
      kind: 'segment-resent'
      manifestId: string
      sequence: bigint
      orchestrator: string
      cause: ResendCause
    }
  | {
      kind: 'attempt-failed'
      manifestId: string
      sequence: bigint
      orchestrator: string
      fault: string
      reason: string
    }
  | ({ kind: 'segment-tried' } & TriedSegment)
  /** An untrusted orchestrator's result was compared with a trusted one's; `fault` is null where it passed. */
  | {
      kind: 'result-compared'
      manifestId: string
      sequence: bigint
      orchestrator: string
      fault: ResultFault | null
    }
  /** The operator's verifier judged a result; `none` where it gave no verdict. */
  | {
      kind: 'result-judged'
      manifestId: string
      orchestrator: string
      verdict: (typeof VERIFIER_VERDICTS)[number]
      tookMs: number
    }
  | { kind: 'orchestrator-suspended'; manifestId: string; orchestrator: string; reason: string }
  | { kind: 'orchestrator-swapped'; manifestId: string; reason: SwapReason }

/** The recording of a gateway's stream. */
export type RecordingEvent =
  /** One segment of one rendition is in the record store; `rendition` is `source` for what the publisher sent. */
  | { kind: 'recording-saved'; manifestId: string; rendition: string; tookMs: number }
  /** It could not be saved this time. */
  | { kind: 'recording-save-failed'; manifestId: string; rendition: string; reason: string }
  /** Segments are given up. */
  | { kind: 'recording-lost'; manifestId: string; segments: number }

/** What became of a segment at one orchestrator. */
export interface SegmentAttempt {
  /** The orchestrator's URL and address; empty and null where none was left. */
  readonly orchestrator: string
  readonly address: Address | null
  readonly tookMs: number
  /** Null for the attempt that succeeded, and where no orchestrator was left. */
  readonly error: string | null
}

/** All that was tried for a segment that was to be transcoded, once it is done or lost. */
export interface TriedSegment {
  readonly manifestId: string
  /** The platform's name for the stream, or the name under which it is played. */
  readonly streamId: string
  readonly sequence: bigint
  readonly durationMs: number
  readonly bytes: number
  /** When it began; ms since the epoch. */
  readonly startedMs: number
  readonly tookMs: number
  readonly isDone: boolean
  /** Null where none may be made. */
  readonly attempts: readonly SegmentAttempt[] | null
}

/** What a gateway's publishers are told, and saw of their segments. */
export type PublisherEvent =
  /** The webhook was asked about a new stream. */
  | { kind: 'stream-judged'; outcome: 'allowed' | 'denied' | 'undecided'; tookMs: number }
  /** The renditions were sent, `tookMs` after the whole segment was here. */
  | {
      kind: 'publisher-answered'
      manifestId: string
      durationMs: number
      tookMs: number
      clientIp: string | null
    }
  /** It left before its segment was transcoded, or before all of the answer was sent. */
  | {
      kind: 'publisher-left'
      manifestId: string
      before: 'result' | 'end-of-answer'
      clientIp: string | null
    }

/** How a segment failed, as metrics tell it apart. */
export type SegmentFailure =
  /** An orchestrator has no place for its session, or too much before it. */
  | 'capped'
  | 'busy'
  /** A gateway has no orchestrator, has asked as many as it may, or another would fail too. */
  | 'no-orchestrators'
  | 'max-attempts'
  | 'not-retryable'
  /** The publisher left, or the stream ended. */
  | 'cancelled'
  | 'stream-ended'
  /** Anything else. */
  | 'transcode'

/** A segment's end, on the side of each node that had a part in it. */
export type SegmentEvent =
  | {
      kind: 'segment-done'
      side: 'gateway'
      manifestId: string
      sequence: bigint
      durationMs: number
      /** From its arrival, all attempts included. */
      tookMs: number
      /** From the orchestrator's first answer to its result. */
      transcodeMs: number
      pixels: bigint
      renditions: number
      /** The names of its profiles. */
      profiles: readonly string[]
      /** Orchestrators that were asked, the one that did it included. */
      attempts: number
      orchestrator: string
      orchestratorAddress: Address
      orchestratorVersion: string
      /** Whether the operator named the orchestrator, and whether its result was checked. */
      isTrusted: boolean
      isVerified: boolean
      latencyScore: number
      clientIp: string | null
    }
  | {
      kind: 'segment-done'
      side: 'orchestrator'
      sessionId: string
      manifestId: string
      durationMs: number
      tookMs: number
      pixels: bigint
      renditions: number
      profiles: readonly string[]
      clientIp: string | null
      /** The session's price per pixel, in wei; null where nothing is charged. */
      price: PricePerPixel | null
    }
  /** A transcoder is not told every segment's duration: 0 where it was not. */
  | {
      kind: 'segment-done'
      side: 'transcoder'
      durationMs: number
      tookMs: number
      pixels: bigint
      profiles: readonly string[]
    }
  | {
      kind: 'segment-failed'
      side: 'gateway'
      manifestId: string
      sequence: bigint
      failure: SegmentFailure
      /** The gateway's own code. */
      fault: string
      reason: string
    }
  | {
      kind: 'segment-failed'
      side: 'orchestrator'
      sessionId: string
      failure: SegmentFailure
      reason: string
    }
  | { kind: 'segment-failed'; side: 'transcoder'; failure: SegmentFailure; reason: string }

/** A segment or its renditions between two nodes. */
export type SegmentTransferEvent =
  /** An orchestrator without room handed a segment to this other node of its cluster, HOST:PORT. */
  | { kind: 'segment-handed-over'; sibling: string; outcome: 'answered' | 'lost' }
  /** An orchestrator answered once it had the whole segment of a gateway. */
  | { kind: 'segment-uploaded'; side: 'gateway'; manifestId: string; orchestrator: string; tookMs: number }
  /** A transcoder delivered its result. */
  | { kind: 'segment-uploaded'; side: 'transcoder'; tookMs: number }
  /** A gateway has all renditions of a segment. */
  | { kind: 'segment-downloaded'; manifestId: string; orchestrator: string; tookMs: number }

/** Where a gateway's events are published for other programs. */
export const EVENT_QUEUES = ['amqp', 'kafka'] as const
export type EventQueue = (typeof EVENT_QUEUES)[number]

/** `eventType`: the type under which it was to be published. */
export type PublishingEvent =
  /** An event was not published, and is not tried again. */
  { kind: 'event-dropped'; queue: EventQueue; eventType: string }

/** The protocol's rounds and what a node does in them. */
export type RoundEvent =
  | { kind: 'round-begun'; round: bigint }
  | { kind: 'round-initialized'; round: bigint; fee: bigint }
  /** One attempt; the next L1 block brings another. */
  | { kind: 'round-initialization-failed'; round: bigint | null; reason: string }
  /** `reward` in LPT's smallest unit. */
  | { kind: 'reward-called'; round: bigint; reward: bigint; fee: bigint; txHash: Hex }
  /** One attempt; the next follows while the round lasts. `reason` is a code. */
  | { kind: 'reward-failed'; round: bigint; reason: string }
  /** Rounds, from first to last, that ended without their reward. */
  | { kind: 'rewards-missed'; first: bigint; last: bigint }

/** Another node that this one works with came or went. */
export type PeerEvent =
  | { kind: 'peer-up'; peer: 'redeemer'; name: string }
  | ({ kind: 'peer-up'; peer: 'transcoder'; capacity: number; version: string } & TranscoderLabels)
  /** `reason` is a code where the node knows why. */
  | { kind: 'peer-down'; peer: 'redeemer'; name: string; reason: string }
  /** `running`: the segments that it had. */
  | ({ kind: 'peer-down'; peer: 'transcoder'; reason: string; running: number } & TranscoderLabels)
  /** A transcoder came, went, took or ended a session: how many there are, the sessions they take and have. */
  | { kind: 'transcoders-changed'; count: number; capacity: number; load: number }

interface TranscoderLabels {
  /** As it calls itself, and what it transcodes on; empty where it does not tell. */
  name: string
  hardware: string
  address: string
}

export type PeerKind = 'transcoder' | 'redeemer'

/**
 * The causes that keep a node from part of its work, told by `src/node/cause-book.ts`: begun once, repeated at each
 * further occurrence while it lasts, ended once with the number of occurrences.
 */
export type ProblemEvent =
  | ({ kind: 'problem-begun' } & Cause & ProblemPlace)
  | ({ kind: 'problem-repeated' } & Cause & ProblemPlace)
  | ({ kind: 'problem-ended'; code: CauseCode; count: number; lastedMs: number } & ProblemPlace)

interface ProblemPlace {
  /** What it concerns, such as a sender; empty where the code says it all. */
  about: string
  /** Who must act. */
  side: Side
}

/** A setting that took another value while the node runs; the values are fit to be shown to anyone. */
export type SettingEvent = { kind: 'setting-changed'; setting: string; from: string; to: string }
