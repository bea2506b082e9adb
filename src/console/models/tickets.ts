import * as z from 'zod'
import { duration, l1Blocks, reasonSentence } from '../../commands/status/words.ts'
import { ether } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import { count, list, text, whole } from './figures.ts'

const hash = z.string().regex(/^0x[0-9a-f]{64}$/)
const time = z.number()

const ticket = z.object({
  ...{ ticket: hash, sender: text, faceValueWei: whole, expectedWei: whole, state: text, reason: text },
  ...{ receivedAtMs: time, updatedAtMs: time, creationRound: whole, blocksLeft: whole.nullable() },
  ...{ txHash: text.nullable(), paidWei: whole.nullable(), feeWei: whole.nullable() },
  ...{ sessionId: text.nullable(), source: text.nullable(), receivedBy: text.nullable() },
})

/** `/tickets`: a page of winning tickets. */
export const TICKETS = z.object({ tickets: list(ticket), next: z.string().max(200).nullable() })
export type Ticket = z.output<typeof ticket>

const step = z.object({
  ...{ atMs: time, node: text.nullable(), step: text, reason: text, txHash: text.nullable() },
  ...{ block: whole.nullable(), paidWei: whole.nullable(), feeWei: whole.nullable() },
  ...{ redeemer: text.nullable(), says: text.nullable() },
})

/** `/ticket`: one ticket's whole story. */
export const STORY = z.object({
  ...ticket.shape,
  story: list(step),
  transactions: list(
    z.object({
      ...{ account: text, nonce: count, state: text, sentAtMs: time.nullable(), txHashes: list(text) },
      ...{ feeWei: whole.nullable(), tickets: count },
    }),
  ),
})
export type Story = z.output<typeof STORY>
type Step = z.output<typeof step>

/** The states that may be asked for, with what they are called. */
export const STATES: readonly (readonly [state: string, title: string])[] = [
  ['', 'all'],
  ['waiting', 'not ended yet'],
  ['open', 'open'],
  ['submitted', 'submitted'],
  ['delivered', 'delivered'],
  ['redeemed', 'redeemed'],
  ['refused', 'refused'],
]

/** What the board shows. */
export interface BoardFilter {
  readonly state: string
  readonly reason: string
  readonly sender: string
  /** L1 blocks, as typed. */
  readonly within: string
}

export const NO_FILTER: BoardFilter = { state: '', reason: '', sender: '', within: '' }

/** The path of a page of tickets; `after` is the `next` of the page before. */
export function pathOf(filter: BoardFilter, after: string | null): string {
  const given = Object.entries({ ...filter, after: after ?? '' }).filter(([, value]) => value !== '')
  return `tickets?${new URLSearchParams([...given, ['limit', String(PAGE)]])}`
}

/** Tickets of one page. */
const PAGE = 50

/** A winning ticket as a row. */
export interface TicketRow {
  readonly hash: string
  readonly received: string
  readonly sender: string
  readonly faceValue: string
  readonly state: string
  readonly tone: 'good' | 'bad' | 'plain'
  readonly reason: string
  readonly deadline: string
  readonly paid: string
  readonly txHash: string
}

/** A ticket as a row, at a time. */
export function ticketRow(one: Ticket, nowMs: number): TicketRow {
  return {
    ...{ hash: one.ticket, sender: one.sender, state: one.state, txHash: one.txHash ?? '' },
    ...{ received: `${duration(nowMs - one.receivedAtMs)} ago`, faceValue: ether(one.faceValueWei) },
    tone: one.state === 'redeemed' ? 'good' : one.state === 'refused' ? 'bad' : 'plain',
    reason: one.reason === '' ? '' : reasonSentence(one, 1),
    deadline: one.blocksLeft === null ? '' : l1Blocks(one.blocksLeft),
    paid: one.paidWei === null ? '' : ether(one.paidWei),
  }
}

/** Whether trying a ticket again may help. */
export function canRetry({ state }: Pick<Ticket, 'state'>): boolean {
  return ['open', 'submitted', 'delivered'].includes(state)
}

/** The facts of a ticket, each with its name. */
export function factsOf(story: Story): (readonly [name: string, fact: string])[] {
  const { receivedBy, sessionId, source } = story
  const ways: Readonly<Record<string, string>> = {
    paid: 'in a payment that was accepted',
    unpaid: 'in a payment that was refused',
    handedIn: 'handed in by a node',
  }
  return [
    ['gateway', story.sender],
    ['face value', ether(story.faceValueWei)],
    ['expected value', ether(story.expectedWei)],
    ['created in', `round ${story.creationRound}`],
    ...(source === null ? [] : [['came', ways[source] ?? source] as const]),
    ...(sessionId === null ? [] : [['session', sessionId] as const]),
    ...(receivedBy === null ? [] : [['taken by', receivedBy] as const]),
    ...(story.blocksLeft === null ? [] : [['expires in', l1Blocks(story.blocksLeft)] as const]),
    ...(story.paidWei === null ? [] : [['paid', ether(story.paidWei)] as const]),
    ...(story.feeWei === null ? [] : [['gas', ether(story.feeWei)] as const]),
  ]
}

/** One step of a ticket's life, in a sentence. */
export function stepSentence({
  block,
  feeWei,
  node,
  paidWei,
  reason,
  redeemer,
  says,
  step,
  txHash,
}: Step): string {
  const parts = [
    step === 'received' ? 'was received' : sentenceOf(step, reason),
    ...(redeemer === null ? [] : [`redeemer ${redeemer}`]),
    ...(says === null || says === '' ? [] : [`“${says}”`]),
    ...(txHash === null ? [] : [`transaction ${txHash}`]),
    ...(block === null ? [] : [`in block ${block}`]),
    ...(paidWei === null ? [] : [`paid ${ether(paidWei)}`]),
    ...(feeWei === null ? [] : [`gas ${ether(feeWei)}`]),
    ...(node === null || node === '' ? [] : [`noted by ${node}`]),
  ]
  return parts.join(', ')
}

function sentenceOf(state: string, reason: string): string {
  return state === 'redeemed' ? 'was redeemed' : reasonSentence({ state, reason }, 1)
}

/** A transaction of a ticket, in a sentence. */
export function transactionSentence(transaction: Story['transactions'][number]): string {
  const { account, feeWei, nonce, state, tickets, txHashes } = transaction
  const attempts = txHashes.length > 1 ? `, ${txHashes.length} attempts` : ''
  const fee = feeWei === null ? '' : `, gas ${ether(feeWei)}`
  return `${state}, from ${account} with nonce ${nonce}, for ${counted(tickets, 'ticket')}${attempts}${fee}`
}
