import { ether } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import { l1Blocks, reasonSentence } from '../status/words.ts'
import type { ListedTicket, ToldTicket } from './answers.ts'

/** Tickets as lines, the newest first. */
export function listText(tickets: readonly ListedTicket[], hasMore: boolean): string {
  if (tickets.length === 0) return 'no ticket fits\n'
  const lines = tickets.map((ticket) => {
    const { blocksLeft, faceValueWei, receivedAtMs, sender } = ticket
    const left = blocksLeft === null ? '' : `, ${leftWords(blocksLeft)}`
    return `${ticket.ticket}\n  ${time(receivedAtMs)}  ${ether(faceValueWei)} from ${sender}: ${stateWords(ticket)}${left}\n`
  })
  return `${lines.join('')}${hasMore ? 'and more: use --limit, or narrow it down\n' : ''}`
}

/** One ticket's story. */
export function storyText(told: ToldTicket): string {
  const { blocksLeft, expectedWei, faceValueWei, recipient, sender, sessionId } = told
  const head = [
    `${told.ticket} ${stateWords(told)}`,
    `  face value   ${ether(faceValueWei)} (${ether(expectedWei)} on average)`,
    `  gateway      ${sender}`,
    `  pays         ${recipient}`,
    `  session      ${sessionId ?? 'not known'}`,
    `  round        ${told.creationRound}${blocksLeft === null ? '' : `, ${leftWords(blocksLeft)}`}`,
  ]
  const steps = told.story.map((step) => {
    const details = [
      ...(step.reason === '' ? [] : [step.reason]),
      ...(step.redeemer === null ? [] : [`to ${step.redeemer}`]),
      ...(step.txHash === null ? [] : [`in ${step.txHash}`]),
      ...(step.block === null ? [] : [`block ${step.block}`]),
      ...(step.paidWei === null ? [] : [`${ether(step.paidWei)} paid`]),
      ...(step.feeWei === null ? [] : [`${ether(step.feeWei)} for gas`]),
      ...(step.node === null || step.node === '' ? [] : [`by node ${step.node}`]),
      ...(step.says === null ? [] : [`"${step.says}"`]),
    ]
    return `  ${time(step.atMs)}  ${step.step}${details.length > 0 ? `: ${details.join(', ')}` : ''}`
  })
  const transactions = told.transactions.map(
    ({ account, feeWei, nonce, state, tickets, txHashes }) =>
      `  nonce ${nonce} of ${account}: ${state}, ${counted(tickets, 'ticket')}` +
      `${feeWei === null ? '' : `, ${ether(feeWei)} for gas`}${txHashes.map((hash) => `\n    ${hash}`).join('')}`,
  )
  const parts = [...head, 'story', ...steps]
  if (transactions.length > 0) parts.push('transactions', ...transactions)
  return `${parts.join('\n')}\n`
}

function stateWords({ reason, state }: { readonly state: string; readonly reason: string }): string {
  return reasonSentence({ state, reason }, 1)
}

function leftWords(blocks: bigint): string {
  return blocks > 0n ? `${l1Blocks(blocks)} left` : 'past its deadline'
}

/** In UTC, to the second. */
function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`
}
