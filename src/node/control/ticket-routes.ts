import { z } from 'zod'
import { dayOf } from '../../domain/money.ts'
import { type RoundClock, roundOfExpiry } from '../../domain/redemption.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { TicketBoard } from '../../io/store/ticket-board.ts'
import type { KnownTicket, TicketFilter, TicketPlace } from '../../io/store/ticket-story.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Parts } from '../parts.ts'
import { roundClockOf } from '../status/facts.ts'
import { type ControlledNode, partsOf } from './context.ts'
import { address } from './parameters.ts'
import { daysOf, linesOf, storyView, ticketView, totalOf } from './ticket-figures.ts'

/** Tickets of one page. */
const MOST_LISTED = 500
const USUALLY_LISTED = 100
/** Days of one answer of the book. */
const MOST_DAYS = 31
const STATES = ['open', 'submitted', 'delivered', 'redeemed', 'refused', 'waiting'] as const

const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'ticket must be a hash: 0x and 64 hexadecimal digits')
  .transform((text) => text.toLowerCase() as Hex)
  .meta({ description: 'the hash of the ticket: 0x and 64 hexadecimal digits' })

const wholeNumber = (name: string, most: number, description: string) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `${name} must be a whole number`)
    .transform((text, context) => {
      const value = Number(text)
      if (value >= 1 && value <= most) return value
      context.addIssue(`${name} must be between 1 and ${most}`)
      return z.NEVER
    })
    .optional()
    .meta({ description })

const day = (name: string, description: string) =>
  z
    .string()
    .transform((text, context) => {
      const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
      if (!Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)) return dayOf(ms)
      context.addIssue(`${name} must be a day as YYYY-MM-DD`)
      return z.NEVER
    })
    .optional()
    .meta({ description })

const cursor = z
  .string()
  .transform((text, context): TicketPlace => {
    const [, at, id] = /^(\d{1,15})-(0x[0-9a-f]{64})$/.exec(text) ?? []
    if (at !== undefined && id !== undefined) return { receivedAtMs: Number(at), id: id as Hex }
    context.addIssue('after must be the `next` of an earlier answer')
    return z.NEVER
  })
  .optional()
  .meta({ description: 'the `next` of an earlier answer, for the page that follows' })

/** The routes about winning tickets and what came of them. */
export function ticketRoutes(node: ControlledNode): ControlRoute[] {
  const roles = ['orchestrator', 'redeemer']
  return [
    route('/tickets', {
      about: 'Winning tickets, the newest first, in pages.',
      ...{ roles, changes: false },
      params: z.object({
        state: z
          .enum(STATES, `state must be one of ${STATES.join(', ')}`)
          .optional()
          .meta({ description: `one of ${STATES.join(', ')}; waiting: open, submitted or delivered` }),
        reason: z
          .string()
          .max(40, 'reason has at most 40 characters')
          .optional()
          .meta({ description: 'why they are open or refused, as a ticket shows it' }),
        sender: address('the gateway that paid them').optional().meta({
          description: 'the gateway that paid them: 0x and 40 hexadecimal digits',
        }),
        within: wholeNumber(
          'within',
          1_000_000,
          'only those that can be redeemed for at most so many further L1 blocks',
        ),
        limit: wholeNumber('limit', MOST_LISTED, `how many, at most ${MOST_LISTED}`),
        after: cursor,
      }),
      answer: async ({ after = null, limit = USUALLY_LISTED, reason, sender, state, within }) => {
        const { board, clock } = keptBy(node)
        const filter: TicketFilter = {
          ...(reason !== undefined && { reason }),
          ...(sender !== undefined && { sender }),
          ...(state !== undefined && { states: state === 'waiting' ? WAITING : [state] }),
          ...(within !== undefined && { states: statesWithin(state), createdTo: roundWithin(within, clock) }),
        }
        const listed = await board.list(filter, { after, most: limit })
        const tickets = listed.map((ticket) => ticketView(ticket, clock))
        return { json: { tickets, next: listed.length < limit ? null : cursorOf(listed.at(-1)!) } }
      },
    }),
    route('/ticket', {
      about:
        'All that is known of one winning ticket: when it came, what became of it, and its transactions.',
      ...{ roles, changes: false },
      params: z.object({ ticket: hash }),
      answer: async ({ ticket }) => {
        const { board, clock } = keptBy(node)
        const story = await board.story(ticket)
        if (!story) throw unknown(ticket)
        return { json: storyView(story, clock) }
      },
    }),
    route('/tickets/retry', {
      about:
        'Tries to redeem a ticket at once, or to hand it over; one that a redeemer has is handed over again.',
      ...{ roles, changes: true },
      params: z.object({ ticket: hash }),
      answer: async ({ ticket }) => {
        const { board, keeper } = keptBy(node)
        const isTried = keeper.retryTicket(ticket)
        if (isTried) return { json: { ticket, retried: true } }
        const known = await board.story(ticket)
        if (!known) throw unknown(ticket)
        if (known.state.kind === 'redeemed' || known.state.kind === 'refused') {
          throw new ControlError('refused', `the ticket is ${known.state.kind}, which is final`, 409)
        }
        throw new ControlError(
          'refused',
          isTried === null
            ? `another node of the cluster redeems${redeemingNode(node)}: ask that one`
            : 'this node has not taken the ticket up yet: ask again in a minute',
          409,
        )
      },
    }),
    route('/ledger', {
      about:
        'The book of received, won and redeemed tickets by gateway and day, with gas and luck; at most 31 days of one answer.',
      ...{ roles, changes: false },
      params: z.object({
        from: day('from', 'the first day, as YYYY-MM-DD in UTC; absent: 30 days before the last'),
        to: day('to', 'the last day, as YYYY-MM-DD in UTC; absent: today'),
      }),
      answer: async ({ from, to }) => {
        const { board } = keptBy(node)
        const last = to ?? dayOf(node.clock.now())
        const first = from ?? last - MOST_DAYS + 1
        if (first > last) throw new ControlError('bad-parameter', 'from must not be later than to')
        if (last - first >= MOST_DAYS) {
          throw new ControlError(
            'bad-parameter',
            `from and to are ${last - first + 1} days, of at most ${MOST_DAYS} in one answer`,
          )
        }
        const book = await board.book(first, last)
        return { json: { lines: linesOf(book), days: daysOf(book), total: totalOf(book) } }
      },
    }),
  ]
}

const WAITING = ['open', 'submitted', 'delivered'] as const

function statesWithin(state: (typeof STATES)[number] | undefined): NonNullable<TicketFilter['states']> {
  return state === undefined || state === 'waiting' ? WAITING : [state]
}

/** What a node keeps of winning tickets. Throws ControlError where it keeps none. */
function keptBy(node: ControlledNode): {
  readonly board: TicketBoard
  readonly clock: RoundClock | null
  readonly keeper: NonNullable<Parts['winners']>['keeper']
} {
  const { chain, core, winners } = partsOf(node)
  if (!chain || !winners) throw new ControlError('not-here', 'this node keeps no winning tickets')
  return { board: new TicketBoard(core.store), clock: roundClockOf(chain), keeper: winners.keeper }
}

function roundWithin(blocks: number, clock: RoundClock | null): bigint {
  if (clock) return roundOfExpiry(clock.l1Block + BigInt(blocks), clock)
  throw new ControlError('refused', 'the rounds of the chain are not known yet, so no deadline is', 503)
}

function cursorOf({ id, receivedAtMs }: KnownTicket): string {
  return `${receivedAtMs}-${id}`
}

function unknown(ticket: Hex): ControlError {
  return new ControlError('bad-parameter', `no winning ticket ${ticket} is known here`)
}

/** The sibling that redeems, in brackets, as far as it is known. */
function redeemingNode(node: ControlledNode): string {
  const members = partsOf(node).cluster?.members.all ?? []
  const found = members.find(
    ({ leads = [], leftMs }) =>
      leftMs > 0 && leads.some(({ duty }) => duty === 'redeem' || duty === 'redeem late'),
  )
  return found ? ` (${found.node} at ${found.address})` : ''
}
