import { counted } from '../../lib/counted.ts'

/** Times and reasons as text for operators. */

/** An L1 block of Ethereum comes every 12 seconds. */
const L1_BLOCK_SECONDS = 12n

/** `12 s`, `7 min`, `3 h`, `2 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** The largest time that a date can have. */
const MAX_DATE_MS = 8.64e15

/** `2026-09-01 12:00:00`, in UTC; `?` for what is no time. */
export function instant(ms: number): string {
  return Math.abs(ms) < MAX_DATE_MS ? new Date(ms).toISOString().slice(0, 19).replace('T', ' ') : '?'
}

/** `33 L1 blocks (about 7 min)`. */
export function l1Blocks(blocks: bigint): string {
  const few = blocks < 0n ? 0n : blocks
  return `${counted(few, 'L1 block')} (about ${duration(Number(few * L1_BLOCK_SECONDS) * 1000)})`
}

/** Lines of at most `width` columns; all but the first are indented further. */
export function wrapped(text: string, options: { width: number; indent: string; hanging: string }): string[] {
  const lines: string[] = []
  let line = options.indent
  let isEmpty = true
  for (let word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > options.width) {
      lines.push(line)
      line = options.hanging
      isEmpty = true
    }
    while (line.length + word.length > options.width && isEmpty) {
      const room = options.width - line.length
      lines.push(line + word.slice(0, room))
      word = word.slice(room)
      line = options.hanging
    }
    line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  return [...lines, line]
}

const REASONS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  'open params-live': ['waits until its params expire', 'wait until their params expire'],
  'open underfunded': ['waits for funds of its sender', 'wait for funds of their senders'],
  'open not-worth-gas': ['waits until it pays more than its gas', 'wait until they pay more than their gas'],
  'open gas-too-high': [
    'waits because gas costs more than -maxGasPrice',
    'wait because gas costs more than -maxGasPrice',
  ],
  'open no-ether': [
    'waits because the account that redeems has too little ether',
    'wait because the account that redeems has too little ether',
  ],
  'open after-others': [
    'waits for other tickets of its sender that are on their way',
    'wait for other tickets of their senders that are on their way',
  ],
  'open chain-refuses': [
    'waits because the contract would refuse it now',
    'wait because the contract would refuse them now',
  ],
  'open chain-unavailable': [
    'waits because the chain could not be reached',
    'wait because the chain could not be reached',
  ],
  'open reverted': ['is tried again: its transaction failed', 'are tried again: their transactions failed'],
  'open reorganised': [
    'is tried again: a reorganisation undid its redemption',
    'are tried again: reorganisations undid their redemptions',
  ],
  'open redeemer-away': ['waits because no redeemer answers', 'wait because no redeemer answers'],
  'open redeemer-unable': [
    'waits because its redeemer cannot take it now',
    'wait because their redeemer cannot take them now',
  ],
  'open redeemer-refuses': [
    'waits because its redeemer refuses it',
    'wait because their redeemer refuses them',
  ],
  submitted: ['is on its way to the chain', 'are on their way to the chain'],
  delivered: [
    'was handed to a redeemer, and is not seen redeemed yet',
    'were handed to a redeemer, and are not seen redeemed yet',
  ],
  'refused expired': ['expired before it could be redeemed', 'expired before they could be redeemed'],
  'refused underfunded': [
    'expired while its sender had no funds for it',
    'expired while their senders had no funds for them',
  ],
  'refused not-worth-gas': [
    'expired without ever paying more than its gas',
    'expired without ever paying more than their gas',
  ],
  'refused gas-too-high': [
    'expired while gas cost more than -maxGasPrice',
    'expired while gas cost more than -maxGasPrice',
  ],
  'refused invalid': [
    'is invalid: the contract will never take it',
    'are invalid: the contract will never take them',
  ],
}

/** The reasons that a ticket in a state may have. */
export function reasonsOf(state: string): string[] {
  const known = Object.keys(REASONS).map((key) => key.split(' '))
  return known.flatMap(([of, reason]) => (of === state && reason !== undefined ? [reason] : []))
}

/** The state of some tickets and its reason, as the rest of a sentence that begins with their number. */
export function reasonSentence({ reason, state }: { reason: string; state: string }, count: number): string {
  const known = REASONS[`${state} ${reason}`.trim()] ?? REASONS[state]
  return known
    ? known[count === 1 ? 0 : 1]
    : `${count === 1 ? 'is' : 'are'} ${state} (${reason || 'no reason'})`
}

/** The purpose of a transaction; long lists of tickets are shortened. */
export function purposeOf(purpose: string): string {
  const [what = '', ...ids] = purpose.split(' ')
  if (what !== 'redeem') return purpose
  return ids.length > 1 ? `redeems ${ids.length} tickets` : `redeems ticket ${ids[0]?.slice(0, 18)}…`
}
