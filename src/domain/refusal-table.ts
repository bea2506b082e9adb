import type { Side } from './cause-facts.ts'

/** A text with which a node of this network refuses work or money. */
export interface Refusal {
  /** Starts a message that contains it; what follows it varies. */
  readonly text: string
  /** Who must act so that it stops. */
  readonly side: Side
  readonly means: string
  /** What to do, at the side named. */
  readonly change: string
}

const NOTHING = 'nothing: peers send the segment again or to another orchestrator'
const SPENT = 'nothing here, unless it lasts: a gateway that repeats its payments is at fault'

/**
 * The texts that peers exchange when they refuse payments, offers and segments, and media workers when they refuse a
 * segment (payments.md §5.1, §5.2; wire.md §5, §9). Of two that fit a message, the longer one counts.
 */
export const REFUSALS: readonly Refusal[] = [
  // Payments.
  {
    text: 'could not get sender info for',
    side: 'chain',
    means:
      'the orchestrator cannot read deposit and reserve of the gateway from the chain, so it cannot judge its tickets',
    change: 'check the endpoints of -ethUrl at the orchestrator',
  },
  {
    text: 'deposit and reserve for sender',
    side: 'gateway',
    means:
      'the gateway has asked to withdraw its deposit and reserve, so its tickets may soon be worth nothing',
    change: 'cancel the withdrawal at the gateway with: livepeer gateway cancel-unlock',
  },
  {
    text: 'unable to validate sender: deposit and reserve is set to unlock soon',
    side: 'gateway',
    means: 'the gateway has asked to withdraw its deposit and reserve, and pays nothing meanwhile',
    change: 'cancel the withdrawal at the gateway with: livepeer gateway cancel-unlock',
  },
  {
    text: 'invalid ticket recipient',
    side: 'orchestrator',
    means:
      'a ticket pays another account than this orchestrator redeems for: nodes behind one address that have different -ethOrchAddr, or an offer from before it was changed',
    change: 'give every node behind one address, and their redeemer, the same -ethOrchAddr',
  },
  {
    text: 'invalid ticket sender',
    side: 'gateway',
    means: 'a ticket names no account that pays',
    change: 'the gateway is defective: update it',
  },
  {
    text: 'invalid recipientRand for ticket recipientRandHash',
    side: 'orchestrator',
    means:
      'the ticket was not offered by this node, or its numbers were changed: nodes behind one address that share no store, or one that has lost its secret',
    change: 'let nodes behind one address share a -store, or give each its own -serviceAddr',
  },
  {
    text: 'invalid ticket signature',
    side: 'gateway',
    means: 'the ticket is not signed by the account that it names as its sender',
    change: 'check -ethAcctAddr and the key of the gateway',
  },
  {
    text: 'invalid ticket senderNonce: already seen',
    side: 'gateway',
    means: 'the same ticket was received before, and counts only once',
    change: SPENT,
  },
  {
    text: 'invalid ticket senderNonce: used elsewhere at the same time',
    side: 'gateway',
    means: 'the same ticket reached two nodes of a cluster at once, and counts only once',
    change: SPENT,
  },
  {
    text: 'invalid ticket senderNonce: too many values',
    side: 'gateway',
    means: 'the gateway has sent 600 tickets of one offer, as many as an orchestrator remembers',
    change: 'nothing: the gateway asks for a new offer by itself',
  },
  {
    text: 'TicketParams expired',
    side: 'gateway',
    means: 'the offer that the tickets are made of is older than 40 blocks of the first layer',
    change:
      'nothing, if it passes; if it lasts, one of both sides reads a chain that lags: check the endpoints of -ethUrl at both',
  },
  {
    text: 'is inactive in round',
    side: 'orchestrator',
    means: 'the account that the tickets pay is not in the active set of this round',
    change:
      'give -ethOrchAddr, the active orchestrator that tickets pay, or get it into the active set with more stake: livepeer orchestrator bond AMOUNT',
  },
  {
    text: 'invalid expected price sent with payment',
    side: 'gateway',
    means: 'the payment carries no price, or one without a unit',
    change: 'the gateway is defective: update it',
  },
  {
    text: 'Could not find Sender for payment',
    side: 'gateway',
    means: 'the payment carries tickets but names no account that pays',
    change: 'the gateway is defective: update it',
  },
  {
    text: 'Insufficient balance',
    side: 'gateway',
    means: 'what the gateway has paid does not cover the segment at the price agreed',
    change:
      'nothing, if it is rare: the gateway pays more with the next try; if it lasts, compare -pricePerUnit here with -maxPricePerUnit there',
  },
  {
    text: 'insufficient sender reserve',
    side: 'gateway',
    means:
      'the part of the gateway’s reserve that this orchestrator could claim is smaller than what a ticket must be worth to pay for its redemption',
    change:
      'raise the reserve at the gateway with: livepeer gateway fund --reserve AMOUNT; livepeer gateway check tells how much is missing',
  },

  // Offers and tokens.
  {
    text: 'Invalid orchestrator request: orchestrator req sig check failed',
    side: 'gateway',
    means: 'the request is not signed by the account that it names',
    change: 'check -ethAcctAddr and the key of the gateway',
  },
  {
    text: 'authentication failed',
    side: 'operator',
    means: 'the webhook of the orchestrator does not let this gateway in',
    change: 'see what the webhook of -authWebhookUrl answers',
  },
  {
    text: 'ErrSegEncoding',
    side: 'gateway',
    means: 'the header that describes the segment cannot be read',
    change: 'the gateway is defective: update it, or look for a proxy in between that shortens headers',
  },
  {
    text: 'ErrSegSig',
    side: 'gateway',
    means:
      'the segment is not signed by the account that pays for it, or carries no payment to an orchestrator on chain',
    change: 'check that the gateway is on the same -network, and its -ethAcctAddr and key',
  },
  {
    text: 'incompatible capabilities',
    side: 'publisher',
    means: 'the segment takes a codec, format or profile that this orchestrator does not do',
    change: 'change the input or the profiles, or use an orchestrator that can',
  },
  {
    text: 'this orchestrator cannot record payments just now, so it takes no new sessions: try again later',
    side: 'orchestrator',
    means: 'its disk or its database takes nothing; sessions that it knows may go on for a while',
    change: 'see livepeer status of the orchestrator, which says why',
  },
  {
    text: 'missing auth token',
    side: 'gateway',
    means: 'the segment belongs to no session',
    change: 'the gateway is defective: update it',
  },
  {
    text: 'invalid auth token',
    side: 'orchestrator',
    means:
      'the session was begun with another node, or with this one under another secret: nodes behind one address that share no store',
    change: 'let nodes behind one address share a -store, or give each its own -serviceAddr',
  },
  {
    text: 'expired auth token',
    side: 'gateway',
    means: 'the session was not renewed in time',
    change: 'nothing, if it passes; if it lasts, compare the clocks of both machines',
  },

  // Room.
  {
    text: 'OrchestratorCapped',
    side: 'orchestrator',
    means: 'the orchestrator has as many sessions as its -maxSessions allows',
    change: 'raise -maxSessions, or add nodes or transcoders',
  },
  {
    text: 'OrchestratorBusy',
    side: 'orchestrator',
    means: 'segments of this session come faster than the orchestrator transcodes them',
    change: 'use fewer or smaller profiles, or add transcoders or nodes',
  },
  {
    text: 'TranscoderBusy',
    side: 'transcoder',
    means: 'the transcoder has more work than it finishes in time',
    change: 'lower its -maxSessions, or add transcoders',
  },
  {
    text: 'ErrTranscoderUnavailable',
    side: 'orchestrator',
    means: 'the orchestrator has no transcoder connected that could do this',
    change: 'start transcoders with its -orchAddr and -orchSecret, or give it -transcoder',
  },
  ...(['no transcoders available', 'no transcoders can provide requested capabilities'] as const).map(
    (text): Refusal => ({
      ...{ text, side: 'orchestrator' },
      means: 'no connected transcoder has room, or none can do this',
      change: 'add transcoders, or raise their -maxSessions',
    }),
  ),
  {
    text: 'TranscoderStopped',
    side: 'transcoder',
    means: 'the transcoder was told to stop while it worked on the segment',
    change: NOTHING,
  },
  {
    text: 'No sessions available',
    side: 'gateway',
    means:
      'the gateway finds no orchestrator for the stream; the lines beside it in its log name each reason',
    change:
      'see the problems that livepeer status shows for the gateway, and what livepeer gateway check says',
  },

  // Segments.
  {
    text: 'No keyframes in input',
    side: 'publisher',
    means: 'no picture of the segment can be decoded without the segment before it',
    change: 'let the encoder put a key frame at the start of each segment',
  },
  {
    text: 'TranscoderInvalidVideo',
    side: 'publisher',
    means: 'the segment holds no video that can be decoded',
    change: 'check what the publisher sends: H.264 video in MPEG-TS or MP4 works everywhere',
  },
  {
    text: 'TranscoderInvalidResolution',
    side: 'publisher',
    means: 'the picture is smaller or larger than the encoder can do',
    change: 'change the size of the source or of the profiles',
  },
  {
    text: 'TranscoderUnrecognizedFormat',
    side: 'publisher',
    means: 'a profile asks for a container that does not exist',
    change: 'use mpegts or mp4',
  },
  {
    text: 'TranscoderUnrecognizedProfile',
    side: 'publisher',
    means: 'a profile asks for an H.264 profile that does not exist',
    change: 'correct the profile',
  },
  {
    text: 'TranscoderInvalidGOP',
    side: 'publisher',
    means: 'a profile asks for a distance of key frames that cannot be done',
    change: 'correct the gop of the profile',
  },
  {
    text: 'TranscoderIncompatibleDevices',
    side: 'operator',
    means: 'decoder and encoder of the session are on different devices',
    change: 'give -nvidia the GPUs to use',
  },
  {
    text: 'Unsupported input codec',
    side: 'publisher',
    means: 'the segment is encoded with a codec that this engine does not decode',
    change: 'publish H.264, or use an orchestrator that can',
  },
  {
    text: 'Unsupported input pixel format',
    side: 'publisher',
    means: 'the pictures have a format that this engine does not convert',
    change: 'publish 8 bit 4:2:0 (yuv420p), which works everywhere',
  },
  ...(
    ['Error initializing filtergraph', 'Too many outputs', 'Option not found', 'Invalid argument'] as const
  ).map(
    (text): Refusal => ({
      ...{ text, side: 'publisher' },
      means: 'FFmpeg cannot make what the profiles ask for out of this input',
      change: 'check size and rates of the profiles against the source',
    }),
  ),
  ...(['Decoder not found', 'Demuxer not found'] as const).map(
    (text): Refusal => ({
      ...{ text, side: 'publisher' },
      means: 'the engine of the orchestrator does not read this codec or container',
      change: 'publish H.264 in MPEG-TS or MP4, or use an orchestrator that can',
    }),
  ),
  ...(['Encoder not found', 'Muxer not found'] as const).map(
    (text): Refusal => ({
      ...{ text, side: 'publisher' },
      means: 'the engine of the orchestrator does not write this codec or container',
      change: 'change the profiles, or use an orchestrator that can',
    }),
  ),
  ...(['Unrecoverable state, restart process', 'Encoded frames runaway'] as const).map(
    (text): Refusal => ({
      ...{ text, side: 'orchestrator' },
      means: 'the engine of a Go orchestrator gave the segment up',
      change: 'nothing, if it is rare: the segment is damaged, or that orchestrator must be restarted',
    }),
  ),
  {
    text: 'MismatchedSegments',
    side: 'orchestrator',
    means: 'the transcoder returned another number of renditions than were asked for',
    change: 'update the transcoder',
  },
  {
    text: 'ZeroSegments',
    side: 'orchestrator',
    means: 'the transcoder returned an empty rendition',
    change: NOTHING,
  },
  {
    text: 'Media worker died',
    side: 'operator',
    means:
      'the process that transcoded the segment ended: the media is damaged on purpose, or memory or driver failed',
    change: 'see the lines before it in the log; peers send the segment elsewhere',
  },
  {
    text: 'Internal Server Error',
    side: 'orchestrator',
    means:
      'the orchestrator failed, or has no offer for this gateway; Go nodes hide the reason behind this text',
    change:
      'see its log; with Go orchestrators it is most often the reserve of the gateway (insufficient sender reserve)',
  },
]

/** The refusal that a message contains; null if none. */
export function refusalIn(message: string): Refusal | null {
  const found = REFUSALS.filter(({ text }) => message.toLowerCase().includes(text.toLowerCase()))
  return found.reduce<Refusal | null>(
    (best, each) => (best && best.text.length >= each.text.length ? best : each),
    null,
  )
}
