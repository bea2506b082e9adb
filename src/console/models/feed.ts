import { plain } from '../../commands/status/answer.ts'
import { duration, reasonSentence } from '../../commands/status/words.ts'
import { ether, livepeerTokens } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'

/** Lines that are kept. */
export const MAX_LINES = 100

/** A line about what happened. */
export interface FeedLine {
  readonly atMs: number
  readonly text: string
  /** Whether it is good to know, or asks for attention. */
  readonly tone: 'plain' | 'good' | 'bad'
}

type Facts = Readonly<Record<string, unknown>>

/** What a kind of event is told as; kinds that are not here are not told. */
const TELLERS: Readonly<Record<string, (facts: Facts) => readonly [FeedLine['tone'], string]>> = {
  'ticket-won': (facts) => ['good', `won a ticket of ${eth(facts.faceValue)} from ${word(facts.sender)}`],
  'ticket-handed-in': (facts) => [
    'good',
    `was handed a winning ticket of ${eth(facts.faceValue)} from ${word(facts.sender)}`,
  ],
  'ticket-delivered': (facts) => [
    'plain',
    `handed a ticket of ${eth(facts.faceValue)} to the redeemer ${word(facts.redeemer)}`,
  ],
  'ticket-redeemed': (facts) => [
    'good',
    `a ticket of ${eth(facts.faceValue)} was redeemed${facts.paid === null ? '' : ` and paid ${eth(facts.paid)}`}`,
  ],
  'ticket-refused': (facts) => [
    'bad',
    `a ticket of ${eth(facts.faceValue)} ${reasonSentence({ state: 'refused', reason: word(facts.reason) }, 1)}`,
  ],
  'ticket-reopened': (facts) => [
    'bad',
    `a reorganisation undid the redemption of a ticket of ${eth(facts.faceValue)}`,
  ],
  'redemption-failed': (facts) => ['bad', `a redemption failed: ${word(facts.reason)}`],
  'session-begun': (facts) => ['plain', `a session began, ${counted(count(facts.running), 'session')} now`],
  'session-ended': (facts) => [
    'plain',
    `a session ended (${word(facts.reason)}), ${counted(count(facts.running), 'session')} now`,
  ],
  'stream-begun': (facts) => ['plain', `the stream ${word(facts.manifestId)} began`],
  'stream-ended': (facts) => ['plain', `the stream ${word(facts.manifestId)} ended: ${word(facts.reason)}`],
  'orchestrator-suspended': (facts) => [
    'bad',
    `left out ${word(facts.orchestrator)} for the stream ${word(facts.manifestId)}: ${word(facts.reason)}`,
  ],
  'round-begun': (facts) => ['plain', `round ${word(facts.round)} began`],
  'round-initialized': (facts) => ['good', `initialised round ${word(facts.round)}`],
  'reward-called': (facts) => [
    'good',
    `called the reward of round ${word(facts.round)}: ${lpt(facts.reward)}`,
  ],
  'reward-failed': (facts) => [
    'bad',
    `could not call the reward of round ${word(facts.round)} yet: ${word(facts.reason)}`,
  ],
  'rewards-missed': (facts) => [
    'bad',
    facts.first === facts.last
      ? `round ${word(facts.first)} ended without its reward`
      : `rounds ${word(facts.first)} to ${word(facts.last)} ended without their rewards`,
  ],
  'peer-up': (facts) => ['good', `the ${peer(facts)} is there`],
  'peer-down': (facts) => ['bad', `the ${peer(facts)} is away: ${word(facts.reason)}`],
  'problem-begun': (facts) => ['bad', `a problem began: ${about(facts)}`],
  'problem-ended': (facts) => [
    'good',
    `a problem is over after ${duration(count(facts.lastedMs))}: ${about(facts)}`,
  ],
  'setting-changed': (facts) => [
    'plain',
    `${word(facts.setting)} was changed from ${word(facts.from)} to ${word(facts.to)}`,
  ],
}

/** The kinds that the console asks for: those that it tells. */
export const FEED_KINDS: readonly string[] = Object.keys(TELLERS)

/** The line of an event as it was sent; null for one that is not told, or has another form. */
export function feedLine(sent: string): FeedLine | null {
  let event: unknown
  try {
    event = JSON.parse(sent)
  } catch {
    return null
  }
  if (typeof event !== 'object' || event === null) return null
  const facts = event as Facts
  const { atMs, kind } = facts
  const tell = typeof kind === 'string' && Object.hasOwn(TELLERS, kind) ? TELLERS[kind] : undefined
  if (!tell || typeof atMs !== 'number') return null
  const [tone, text] = tell(facts)
  return { atMs, tone, text }
}

/** The lines with one more, the newest first. */
export function withLine(lines: readonly FeedLine[], line: FeedLine): readonly FeedLine[] {
  return [line, ...lines].slice(0, MAX_LINES)
}

function peer({ address, name, peer }: Facts): string {
  const called = word(name) || word(address)
  return `${word(peer)} ${called}`
}

function about({ about, code }: Facts): string {
  return word(about) === '' ? word(code) : `${word(code)} (${word(about)})`
}

function word(fact: unknown): string {
  return typeof fact === 'string' || typeof fact === 'number' ? plain(String(fact)) : ''
}

function count(fact: unknown): number {
  return typeof fact === 'number' && Number.isFinite(fact) ? fact : 0
}

function amount(fact: unknown): bigint | null {
  return typeof fact === 'string' && /^\d{1,80}$/.test(fact) ? BigInt(fact) : null
}

function eth(fact: unknown): string {
  const wei = amount(fact)
  return wei === null ? 'an unknown amount' : ether(wei)
}

function lpt(fact: unknown): string {
  const lptu = amount(fact)
  return lptu === null ? 'an unknown amount' : livepeerTokens(lptu)
}
