import { ether } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import type { NodeAnswer, SeenNode } from './answer.ts'
import { changeLines, settingLines } from './changes.ts'
import { clustersOf, knowsTickets, oncePerStore, otherLeaders } from './clusters.ts'
import { type LuckBook, luckLines } from './luck.ts'
import { moneyTable } from './money.ts'
import { nodeLines } from './node-lines.ts'
import { nameOf, problemsOf, redeems, rewards } from './problems.ts'
import { duration, instant, l1Blocks, purposeOf, reasonSentence, wrapped } from './words.ts'

const WIDTH = 100
/** Transactions shown of each node; further ones are only counted. */
const MAX_TRANSACTIONS = 5

/** A line of a chapter, and its level of indentation. */
export type Line = readonly [depth: 1 | 2, text: string]

/** What is told about some nodes under one title. */
export interface Chapter {
  readonly title: string
  readonly lines: readonly Line[]
}

/** The text shown, and whether it lists a problem. */
export interface Screen {
  readonly text: string
  readonly needsAttention: boolean
}

/**
 * One screen about some nodes, at most 100 columns wide: first what needs attention, then what they earned, which of
 * them redeem, which call reward, what is pending, what was lost and why, the state of each node, what operators changed
 * while it ran, and the clusters they belong to. `books` are those of nodes, by their addresses.
 */
export function screenOf(
  answers: readonly NodeAnswer[],
  nowMs: number,
  books: ReadonlyMap<string, LuckBook> = new Map(),
): Screen {
  const nodes = answers.filter((answer) => answer.kind === 'status')
  const problems = problemsOf(answers)
  const chapters: Chapter[] = [
    { title: 'Needs attention', lines: problems.map((problem) => [1, `! ${problem}`]) },
    { title: 'Money', lines: moneyTable(nodes).map((line) => [1, line]) },
    ...luckChapters(nodes, books),
    ...workChapters(nodes),
    { title: 'Nodes', lines: nodes.flatMap(nodeLines) },
    ...operatorChapters(nodes),
    ...clustersOf(nodes),
  ]
  const text = [`livepeer status   ${instant(nowMs)} UTC   ${counted(nodes.length, 'node')}`]
  for (const { lines, title } of chapters) {
    if (lines.length === 0) {
      text.push('', `${title.toUpperCase()}: ${emptyChapter(title)}`)
      continue
    }
    text.push('', title.toUpperCase())
    for (const [depth, line] of lines) {
      const indent = '  '.repeat(depth)
      text.push(...wrapped(line, { width: WIDTH, indent, hanging: `${indent}    ` }))
    }
  }
  return { text: `${text.join('\n')}\n`, needsAttention: problems.length > 0 }
}

/** How lucky the tickets of some nodes were, each store once; no chapter where none were received. */
function luckChapters(nodes: readonly SeenNode[], books: ReadonlyMap<string, LuckBook>): Chapter[] {
  const lines = oncePerStore(nodes).flatMap((node) => luckLines(nameOf(node), books.get(node.address)))
  return lines.length > 0 ? [{ title: 'Luck in the last 31 days', lines }] : []
}

/** What operators changed while the nodes ran, and what they asked for; no chapter for what is empty. */
export function operatorChapters(nodes: readonly SeenNode[]): Chapter[] {
  const chapters: Chapter[] = [
    { title: 'Settings that differ from the command line', lines: nodes.flatMap(settingLines) },
    { title: 'Asked for last', lines: nodes.flatMap(changeLines) },
  ]
  return chapters.filter(({ lines }) => lines.length > 0)
}

/** Which of some nodes redeem, which call reward, what is pending, and what was lost and why. */
export function workChapters(nodes: readonly SeenNode[]): Chapter[] {
  const keepers = new Set(oncePerStore(nodes, knowsTickets))
  return [
    { title: 'Who redeems', lines: [...nodes.flatMap(redemptionLines), ...ledElsewhere(nodes, 'redeem')] },
    { title: 'Who rewards', lines: rewardChapter(nodes) },
    { title: 'Pending', lines: nodes.flatMap((node) => pendingLines(node, keepers.has(node))) },
    { title: 'Lost or refused', lines: nodes.flatMap((node) => lostLines(node, keepers.has(node))) },
  ]
}

/** What a chapter without lines says. */
export function emptyChapter(title: string): string {
  return EMPTY[title] ?? 'nothing'
}

const EMPTY: Readonly<Record<string, string>> = {
  Money: 'nothing earned and nothing spent',
  'Who redeems': 'none of these nodes',
  'Who rewards': 'none of these nodes',
  Nodes: 'none',
}

function redemptionLines(node: SeenNode): Line[] {
  const { chain, nowMs, recipient, redeemers, tickets } = node.status
  if (redeemers) {
    const list = redeemers.map(({ answers, name, sinceMs }) => {
      const since = sinceMs === null ? '' : ` for ${duration(nowMs - sinceMs)}`
      return sinceMs === null
        ? `${name} (not tried yet)`
        : `${name} (${answers ? 'answers' : 'away'}${since})`
    })
    return [[1, `${nameOf(node)} hands its winning tickets to ${list.join(', ')}`]]
  }
  if (!redeems(node) || !tickets || !chain) return []
  const redeemed = tickets.groups.find(({ state }) => state === 'redeemed')?.count ?? 0
  const lasts =
    chain.redemptionsLeft === null
      ? ''
      : `; its balance lasts for about ${counted(chain.redemptionsLeft, 'redemption')}`
  return [
    [1, `${nameOf(node)} with account ${chain.account}${onBehalfOf(chain.account, recipient)}`],
    [2, `${counted(redeemed, 'ticket')} redeemed${lasts}`],
  ]
}

function ledElsewhere(nodes: readonly SeenNode[], duty: string): Line[] {
  return otherLeaders(nodes, duty).map((text) => [1, text])
}

function onBehalfOf(account: string, orchestrator: string | undefined): string {
  return orchestrator === undefined || orchestrator === account ? '' : ` for ${orchestrator}`
}

function rewardChapter(nodes: readonly SeenNode[]): Line[] {
  const own = nodes.filter(rewards).flatMap(rewardLines)
  if (own.length > 0) return own
  // A node that was not asked may call it; the chain shows the last call.
  const leaders = ledElsewhere(nodes, 'reward')
  const found = new Set(
    nodes.flatMap((node) => {
      const { chain, recipient } = node.status
      const state = chain?.recipientState
      if (!state?.registered || recipient === undefined || !chain?.rounds) return []
      const { current } = chain.rounds
      const { lastRewardRound: last } = state
      const stand =
        last === current
          ? `called in round ${last}; due again in round ${last + 1n}${nextRound(node)}`
          : `${last === 0n ? 'never called' : `last called in round ${last}`}, and this is round ${current}`
      return [`the reward of ${recipient} was ${stand}`]
    }),
  )
  return leaders.length > 0
    ? [...leaders, ...[...found].map((line): Line => [2, line])]
    : [...found].map((line) => [1, `none of these nodes; ${line}`])
}

function rewardLines(node: SeenNode): Line[] {
  const { chain, nowMs, reward } = node.status
  if (!reward) return []
  const {
    account,
    currentRound: round,
    inFlight,
    lastError,
    lastRewardRound,
    nextLookMs,
    orchestrator,
  } = reward
  const again = nextLookMs === null ? '' : `; next check in ${duration(nextLookMs - nowMs)}`
  const begins = nextRound(node)
  const stand = (): string => {
    switch (reward.state) {
      case 'called':
        return `called in round ${round}; due again in round ${(round ?? 0n) + 1n}${begins}`
      case 'due':
        if (inFlight) return `due in round ${round}; sent ${duration(nowMs - inFlight.sentAtMs)} ago`
        return lastError
          ? `due in round ${round}; not called yet, next try in ${duration((nextLookMs ?? nowMs) - nowMs)}`
          : `due in round ${round}; it is being called`
      case 'round-not-initialized':
        return `due once round ${round} is initialised`
      case 'not-active': {
        const from = chain?.recipientState?.activationRound
        const later =
          from !== undefined && round !== null && from > round ? `, it becomes active in round ${from}` : ''
        return `none in round ${round}: the orchestrator is not active${later}`
      }
      case 'not-registered':
        return `none in round ${round}: the orchestrator is not registered`
      default:
        return `not known yet${again}`
    }
  }
  const last = lastRewardRound === null || lastRewardRound === 0n ? 'none yet' : `round ${lastRewardRound}`
  const lasts =
    reward.roundsLeft === null ? '' : `; its balance lasts for about ${counted(reward.roundsLeft, 'reward')}`
  return [
    [1, `${nameOf(node)} with account ${account}${onBehalfOf(account, orchestrator)}`],
    [2, `${stand()}; last on chain: ${last}${lasts}`],
  ]
}

function nextRound({ status: { chain } }: SeenNode): string {
  if (!chain?.rounds || chain.l1Block === null) return ''
  return `, which begins in ${l1Blocks(chain.rounds.nextL1Block - chain.l1Block)}`
}

/** What is under way at a node; tickets only where no sibling shows them. */
function pendingLines(node: SeenNode, showsTickets: boolean): Line[] {
  const { chain, nowMs, rounds, tickets } = node.status
  const waiting = (showsTickets ? (tickets?.groups ?? []) : []).filter(
    ({ count, state }) => count > 0 && ['open', 'submitted', 'delivered'].includes(state),
  )
  const lines = waiting.map((group): Line => {
    const left =
      group.firstExpiryBlock === null || !chain || chain.l1Block === null
        ? ''
        : `; the first expires in ${l1Blocks(group.firstExpiryBlock - chain.l1Block)}`
    const sentence = reasonSentence(group, group.count)
    return [2, `${counted(group.count, 'ticket')} (${ether(group.faceValueWei)}) ${sentence}${left}`]
  })
  const transactions = chain?.transactions ?? []
  for (const { attempts, purpose, sentAtMs, txHash } of transactions.slice(0, MAX_TRANSACTIONS)) {
    const again = attempts > 1 ? `, ${attempts} attempts` : ''
    lines.push([2, `${purposeOf(purpose)}: ${txHash}, sent ${duration(nowMs - sentAtMs)} ago${again}`])
  }
  if (transactions.length > MAX_TRANSACTIONS) {
    lines.push([2, `${transactions.length - MAX_TRANSACTIONS} more transactions`])
  }
  if (rounds && rounds.state !== 'waits') lines.push([2, 'the round is being initialised'])
  return lines.length === 0 ? [] : [[1, nameOf(node)], ...lines]
}

function lostLines(node: SeenNode, showsTickets: boolean): Line[] {
  const { reward, tickets } = node.status
  const lines = (showsTickets ? (tickets?.groups ?? []) : [])
    .filter(({ count, state }) => state === 'refused' && count > 0)
    .map((group): Line => {
      const sentence = reasonSentence(group, group.count)
      return [2, `${counted(group.count, 'ticket')} (${ether(group.faceValueWei)}) ${sentence}`]
    })
  if (reward && reward.missed > 0n) {
    lines.push([2, `the reward of ${counted(reward.missed, 'round')} since the start: not called in time`])
  }
  if (tickets && tickets.paymentsRefused > 0) {
    lines.push([
      2,
      `${counted(tickets.paymentsRefused, 'payment')} of gateways refused since the start: see the log`,
    ])
  }
  const handed = Object.entries(tickets?.handedRefused ?? {})
  if (handed.length > 0) {
    const list = handed.map(([reason, count]) => `${count} ${reason}`).join(', ')
    lines.push([2, `tickets that orchestrators handed in, refused since the start: ${list}`])
  }
  return lines.length === 0 ? [] : [[1, nameOf(node)], ...lines]
}
