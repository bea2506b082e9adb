import type { NodeEventOf } from '../../domain/events.ts'
import type { HandedTicketFault } from '../../domain/handed-ticket.ts'
import type { RedeemerFault } from '../../domain/redeemer-call.ts'
import type { RefusalReason } from '../../domain/ticket-state.ts'
import type { DeskFault } from '../../services/redemption/ticket-room.ts'
import { gwei, type MetricRows, type Move, once } from './metric-row.ts'

const WEI_PER_GWEI = 1e9

/** What dashboards of the network call a refused payment (operations.md §6); any other reason is `PaymentError`. */
const PAYMENT_ERRORS: Readonly<Record<string, string>> = {
  'invalid-expected-price': 'InvalidPrice',
  'price-mismatch': 'InvalidPrice',
  'rand-does-not-match': 'InvalidRecipientRand',
  'beyond-funds': 'InvalidTicketFaceValue',
  'not-as-offered': 'InvalidTicketWinProb',
}
const OTHER_PAYMENT_ERROR = 'PaymentError'

/** Attempts of which the payment could not be made. */
const PAYMENT_FAULTS: ReadonlySet<string> = new Set([
  ...['payment-refused', 'price-doubled', 'sender-cannot-pay', 'funds-unknown'],
])

const REFUSALS: Readonly<Record<RefusalReason, true>> = {
  ...{ expired: true, underfunded: true, 'not-worth-gas': true, 'gas-too-high': true, invalid: true },
}
const HANDED_REFUSALS: Readonly<Record<HandedTicketFault | DeskFault, true>> = {
  ...{ 'wrong-recipient': true, 'malformed-ticket': true, 'rand-does-not-match': true, expired: true },
  ...{ 'invalid-signature': true, 'not-winning': true, 'no-room': true, 'beyond-funds': true },
  'funds-unknown': true,
}
const DELIVERY_FAULTS: Readonly<Record<RedeemerFault, true>> = {
  ...{ refused: true, unable: true, away: true },
}

/**
 * Metrics of payments and tickets. Money is counted once in a whole cluster: sent by the gateway, received by the
 * orchestrator, redeemed by the node whose account redeemed it.
 */
export const MONEY_METRICS = {
  gateway_deposit: funds('Deposit of this gateway, gwei'),
  gateway_reserve: funds('Reserve of this gateway, gwei'),
  broadcaster_deposit: funds('The older name of `gateway_deposit`'),
  broadcaster_reserve: funds('The older name of `gateway_reserve`'),
  tickets_sent: {
    ...{ type: 'counter', help: 'Tickets sent', by: ['payer'], flagLabels: ['manifest_id'] },
    on: { 'payment-sent': ({ manifestId, tickets }) => ofStream(manifestId, tickets) },
  },
  ticket_value_sent: {
    ...{
      type: 'counter',
      help: 'Expected value of tickets sent, gwei',
      by: ['payer'],
      flagLabels: ['manifest_id'],
    },
    on: {
      'payment-sent': ({ manifestId, value }) => ofStream(manifestId, value.toNumber() / WEI_PER_GWEI),
    },
  },
  tickets_accepted_total: {
    ...{ type: 'counter', help: 'Tickets in payments that an orchestrator accepted', by: ['payer'] },
    on: { 'payment-accepted': ({ tickets }) => ({ value: tickets }) },
  },
  payment_create_errors: {
    ...{
      type: 'counter',
      help: 'Payments that could not be made',
      by: ['payer'],
      flagLabels: ['manifest_id'],
    },
    on: {
      'attempt-failed': ({ fault, manifestId }) => (PAYMENT_FAULTS.has(fault) ? ofStream(manifestId) : null),
    },
  },
  transcoding_price: {
    ...{ type: 'gauge', help: 'Price that is asked, or at most paid, wei per pixel', read: 'once known' },
    ...{ by: ['payer', 'payee'], flagLabels: ['sender'] },
  },
  gateway_max_float: {
    ...{
      type: 'gauge',
      help: 'Max float of a gateway when tickets were last offered to it, gwei',
      by: ['payee'],
    },
    labels: { sender: 'open' },
    on: {
      'ticket-params-offered': ({ maxFloat, sender }) => ({ value: gwei(maxFloat), labels: { sender } }),
    },
  },
  gateway_ticket_face_value: {
    ...{ type: 'gauge', help: 'Face value of the tickets last offered to a gateway, gwei', by: ['payee'] },
    labels: { sender: 'open' },
    on: {
      'ticket-params-offered': ({ faceValue, sender }) => ({ value: gwei(faceValue), labels: { sender } }),
    },
  },
  tickets_recv: {
    ...{ type: 'counter', help: 'Tickets received', by: ['payee'], flagLabels: ['manifest_id', 'sender'] },
    on: { 'tickets-received': (event) => ofPayment(event, event.tickets) },
  },
  ticket_value_recv: {
    ...{ type: 'counter', help: 'Expected value of tickets received, gwei', by: ['payee'] },
    flagLabels: ['manifest_id', 'sender'],
    on: { 'tickets-received': (event) => ofPayment(event, event.credit.toNumber() / WEI_PER_GWEI) },
  },
  winning_tickets_recv: {
    ...{ type: 'counter', help: 'Winning tickets received', by: ['payee'] },
    flagLabels: ['manifest_id', 'sender'],
    on: {
      'tickets-received': (event) => ofPayment(event, event.winners),
      'payment-refused': (event) => ofPayment(event, event.winners),
    },
  },
  payment_recv_errors: {
    ...{ type: 'counter', help: 'Payments refused', by: ['payee'], flagLabels: ['manifest_id', 'sender'] },
    labels: { error_code: [...new Set([...Object.values(PAYMENT_ERRORS), OTHER_PAYMENT_ERROR])] },
    on: {
      'payment-refused': ({ manifestId, reason, sender }) => ({
        labels: {
          ...{ sender, manifest_id: manifestId },
          error_code: PAYMENT_ERRORS[reason] ?? OTHER_PAYMENT_ERROR,
        },
      }),
    },
  },
  tickets_handed_in_total: {
    ...{ type: 'counter', help: 'Winning tickets that orchestrators handed in', by: ['desk'] },
    on: { 'ticket-handed-in': once },
  },
  handed_tickets_refused_total: {
    ...{ type: 'counter', help: 'Winning tickets of orchestrators that were refused', by: ['desk'] },
    ...{ labels: { reason: 'open' }, begin: { reason: Object.keys(HANDED_REFUSALS) } },
    on: { 'handed-ticket-refused': ({ reason }) => ({ labels: { reason } }) },
  },
  tickets_delivered_total: {
    ...{ type: 'counter', help: 'Winning tickets that a redeemer took', by: ['outbox'] },
    labels: { redeemer: 'open' },
    on: { 'ticket-delivered': ({ redeemer }) => ({ labels: { redeemer } }) },
  },
  ticket_delivery_errors_total: {
    ...{ type: 'counter', help: 'Attempts to hand a ticket to a redeemer that failed', by: ['outbox'] },
    labels: { redeemer: 'open', reason: Object.keys(DELIVERY_FAULTS) },
    on: { 'ticket-delivery-failed': ({ reason, redeemer }) => ({ labels: { redeemer, reason } }) },
  },
  redeemer_up: {
    ...{ type: 'gauge', help: 'Whether a redeemer answers', by: ['outbox'], read: 'at once' },
    labels: { redeemer: 'open' },
  },
  value_redeemed: {
    ...{ type: 'counter', help: 'Paid for winning tickets that this node redeemed, gwei', by: ['redeemer'] },
    flagLabels: ['sender'],
    on: {
      'ticket-redeemed': (event) => ofRedemption(event, event.paid),
      'ticket-reopened': (event) => ofRedemption(event, event.paid && -event.paid),
    },
  },
  redemption_fees_wei_total: {
    ...{ type: 'counter', help: 'Paid for the gas of redemptions, wei', by: ['redeemer'] },
    on: { 'ticket-redeemed': ({ fee }) => (fee === null ? null : { value: Number(fee) }) },
  },
  ticket_redemption_errors: {
    ...{ type: 'counter', help: 'Attempts to redeem a ticket that failed', by: ['redeemer'] },
    on: { 'redemption-failed': once },
  },
  tickets_refused_total: {
    ...{ type: 'counter', help: 'Winning tickets that will never be redeemed', by: ['keeper'] },
    labels: { reason: Object.keys(REFUSALS) },
    on: { 'ticket-refused': ({ reason }) => ({ labels: { reason } }) },
  },
  tickets_reopened_total: {
    ...{ type: 'counter', help: 'Redemptions that a reorganisation undid', by: ['redeemer'] },
    on: { 'ticket-reopened': once },
  },
  tickets: {
    ...{
      type: 'gauge',
      help: 'Winning tickets in the database; of a cluster, at the node that redeems',
      by: ['keeper'],
      read: 'once known',
    },
    labels: { state: 'open', reason: 'open' },
  },
  ticket_deadline_l1_blocks: {
    ...{ type: 'gauge', help: 'L1 blocks until the first of the tickets that are not redeemed expires' },
    ...{ by: ['keeper'], read: 'once known' },
  },
  recipient_active: {
    ...{ type: 'gauge', help: 'Whether the orchestrator that tickets pay is active', by: ['keeper'] },
    read: 'once known',
  },
} as const satisfies MetricRows

function funds(help: string) {
  return { type: 'gauge', help, by: ['payer'], flagLabels: ['sender'], read: 'once known' } as const
}

function ofStream(manifestId: string, value = 1): Move {
  return { value, labels: { manifest_id: manifestId } }
}

function ofPayment({ manifestId, sender }: { manifestId: string; sender: string }, value: number): Move {
  return { value, labels: { manifest_id: manifestId, sender } }
}

/** Of what another account redeemed, the fee is not known: that account's node counts it. */
function ofRedemption(
  { fee, sender }: NodeEventOf<'ticket-redeemed' | 'ticket-reopened'>,
  paid: bigint | null,
): Move | null {
  return fee === null || paid === null ? null : { value: gwei(paid), labels: { sender } }
}
