import { ether } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import type { NodeAnswer, SeenNode } from './answer.ts'
import { knowsTickets, oncePerStore, silentMembers } from './clusters.ts'
import { roleName } from './role-name.ts'
import { duration, l1Blocks, purposeOf, reasonSentence } from './words.ts'

/** The chain, or the connection to it, is taken for stalled after this long without a new block. */
const SILENCE_SECONDS = 120
/** What was read from the store longer ago than this is old. */
const LATE_READ_MS = 5_000
/** A round that is still not initialised after this many L1 blocks has been forgotten. */
const LATE_ROUND_BLOCKS = 50n
/** A transaction that is not mined after this long is stuck. */
const LATE_TRANSACTION_MS = 10 * 60_000
/** A balance that pays for fewer calls than this needs ether. */
const FEW_CALLS = 10n
/** A ticket is urgent this many L1 blocks before it expires, or in the last third of a round where that is less. */
const URGENT_BLOCKS = 100n
const URGENT_PART = 3n

/** Causes of one kind that are shown of a node: strangers could make up senders. */
const MAX_ALIKE = 3

type Chain = NonNullable<SeenNode['status']['chain']>
type TicketGroup = NonNullable<SeenNode['status']['tickets']>['groups'][number]

/** The name of a node in sentences: its role and its address. */
export function nameOf({ address, status }: SeenNode): string {
  return `${roleName(status.roles ?? [])} ${address}`
}

/** Whether a node redeems winning tickets itself. In a cluster an orchestrator does so only while no redeemer is there. */
export function redeems({ status: { cluster, redeemers, roles = [], tickets } }: SeenNode): boolean {
  if (tickets === undefined || redeemers !== undefined) return false
  // While its database does not answer, a node goes by the members that it knew.
  const isRedeemer = ({ alive, roles }: { readonly alive: boolean; readonly roles: readonly string[] }) =>
    (alive || cluster?.isIn === false) && roles.includes('redeemer')
  return roles.includes('redeemer') || !(cluster?.members.some(isRedeemer) ?? false)
}

/** Whether a node calls the orchestrator's reward. */
export function rewards({ status }: SeenNode): boolean {
  return status.reward !== undefined && status.reward.state !== 'off'
}

/** One sentence for each problem, with what to do about it; the most pressing first. */
export function problemsOf(answers: readonly NodeAnswer[]): string[] {
  const nodes = answers.filter((answer) => answer.kind === 'status')
  const found = [
    ...answers.flatMap(withoutStatus),
    ...nodes.flatMap(ofNode),
    ...silentMembers(nodes),
    ...nodes.flatMap(ofCauses),
    ...nodes.flatMap(ofChain),
    ...nodes.flatMap(ofRecipient),
    ...sharedAccounts(nodes),
    ...nodes.flatMap(ofRedeemers),
    ...oncePerStore(nodes, knowsTickets).flatMap(ofTickets),
    ...nodes.flatMap(ofMoney),
    ...nodes.flatMap(ofOrchestrators),
    ...nodes.flatMap(ofReward),
    ...nodes.flatMap(ofTranscoding),
  ]
  // Several nodes see the same chain.
  return [...new Set(found)]
}

function withoutStatus(answer: NodeAnswer): string[] {
  const { address } = answer
  switch (answer.kind) {
    case 'status':
      return []
    case 'silent':
      return [`${address} does not answer (${answer.why}): start the node, or give its -cliAddr`]
    case 'no-token':
      return [
        answer.shown
          ? `${address} refuses the token: give --token the text or file of the node's -cliToken`
          : `${address} asks for a token: give --token the text or file of the node's -cliToken`,
      ]
    case 'stranger':
      return [`${address} is not a livepeer-ts node (${answer.why}): give the -cliAddr of a node`]
  }
}

/** The causes that the node itself names, in its own words. */
function ofCauses(node: SeenNode): string[] {
  const { causes = [], nowMs } = node.status
  // Of a redeemer that is away, the figures say more.
  const told = causes.filter(({ code }) => {
    if (code === 'orchestrator-unusable') return !hasCause(node, 'orchestrators-silent')
    return code !== 'redeemer-away'
  })
  return [...Map.groupBy(told, ({ code }) => code).values()].flatMap((alike) => {
    const sentences = alike.slice(0, MAX_ALIKE).map(({ change, count, says, sinceMs }) => {
      const times = count > 1 ? `, ${count} times` : ''
      return `${nameOf(node)}: ${says} (for ${duration(nowMs - sinceMs)}${times}): ${change}`
    })
    const more = alike.length - MAX_ALIKE
    if (more > 0) sentences.push(`${nameOf(node)}: ${more} more of that kind (${alike[0]!.code})`)
    return sentences
  })
}

/** Whether the node names a cause itself, so that nothing else need be concluded from its figures. */
function hasCause({ status: { causes } }: SeenNode, code: string, about = ''): boolean {
  return causes?.some((cause) => cause.code === code && cause.about === about) ?? false
}

function ofNode(node: SeenNode): string[] {
  const { drain, nowMs, ready, storeFault, unread, version, waitingFor = 'its start' } = node.status
  const { storeReadMs = nowMs } = node.status
  const name = nameOf(node)
  return [
    ...(storeFault === undefined || hasCause(node, 'store-unwritable')
      ? []
      : [`${name} cannot write to its store, so it refuses what it would have to keep: ${storeFault}`]),
    ...(nowMs - storeReadMs > LATE_READ_MS
      ? [
          `${name} shows tickets and money as they were ${duration(nowMs - storeReadMs)} ago, since its store has not answered since: they are read again as soon as it does`,
        ]
      : []),
    ...(drain === 'drained'
      ? [`${name} was drained and takes no work: livepeer undrain ${node.address} ends that`]
      : ready
        ? []
        : [`${name} is not ready and waits for ${waitingFor}: if that lasts, see its log`]),
    ...(unread.length > 0
      ? [
          `${name} runs version ${version}, whose ${unread.join(', ')} cannot be read here: use the livepeer status of that version`,
        ]
      : []),
  ]
}

function ofChain(node: SeenNode): string[] {
  const { chain, nowMs } = node.status
  if (!chain) return []
  const name = nameOf(node)
  const isNamed = hasCause(node, 'chain-unreachable')
  const bad = chain.endpoints.filter(({ state }) => !['healthy', 'untried'].includes(state.kind))
  if (bad.length > 0 && bad.length === chain.endpoints.length) {
    if (isNamed) return []
    const why = bad.map(({ endpoint, state }) => `${endpoint} is ${state.kind}: ${state.reason ?? '?'}`)
    return [
      `${name} cannot reach the chain over any of its endpoints (${why.join('; ')}): check them, or change -ethUrl`,
    ]
  }
  return [
    ...bad.map(({ endpoint, state }) => {
      const since =
        state.sinceMs === undefined
          ? `is ${state.kind}`
          : `has been ${state.kind} for ${duration(nowMs - state.sinceMs)}`
      return `${name} does not use the endpoint ${endpoint}, which ${since} (${state.reason ?? '?'}): check it, or remove it from -ethUrl`
    }),
    ...((chain.blockAgeSeconds ?? 0) > SILENCE_SECONDS && !isNamed && !hasCause(node, 'chain-standing-still')
      ? [
          `${name} has seen no new block for ${duration(chain.blockAgeSeconds! * 1000)}: check the endpoints of -ethUrl`,
        ]
      : []),
    ...lateRound(chain),
    ...chain.transactions
      .filter(({ sentAtMs }) => nowMs - sentAtMs > LATE_TRANSACTION_MS)
      .map(
        ({ attempts, purpose, sentAtMs, txHash }) =>
          `${name} has a transaction that has not been mined for ${duration(nowMs - sentAtMs)}, after ${counted(attempts, 'attempt')} (${purposeOf(purpose)}, ${txHash}): check whether -maxGasPrice is too low, or another process uses the account`,
      ),
  ]
}

function lateRound({ l1Block, rounds }: Chain): string[] {
  if (!rounds || l1Block === null || rounds.lastInitialized >= rounds.current) return []
  const late = l1Block - rounds.startL1Block
  if (late <= LATE_ROUND_BLOCKS) return []
  return [
    `round ${rounds.current} began ${l1Blocks(late)} ago and is not initialised, so no ticket of it can be redeemed and no reward called: run a node with -initializeRound, or initialise it with: livepeer round init`,
  ]
}

function ofRecipient(node: SeenNode): string[] {
  const { chain, recipient, reward } = node.status
  const state = chain?.recipientState
  const orchestrator = recipient ?? reward?.orchestrator
  const round = chain?.rounds?.current
  if (!state || !orchestrator || round === undefined) return []
  if (hasCause(node, 'account-not-registered')) return []
  if (!state.registered && !state.active) {
    return [
      `${orchestrator}, which the tickets pay, is not a registered orchestrator: correct -ethOrchAddr, or register it with: livepeer orchestrator register`,
    ]
  }
  if (!state.active) {
    // A newly registered orchestrator becomes active in the next round.
    if (state.activationRound > round) return []
    return [
      `${orchestrator} is not active in round ${round}, so payments to it are refused: it needs more stake to become active: livepeer orchestrator bond AMOUNT`,
    ]
  }
  const isMissed = state.activationRound < round && state.lastRewardRound < round - 1n
  if (!isMissed) return []
  return [
    state.lastRewardRound === 0n
      ? `the reward of ${orchestrator} has never been called: run a node with its account, or see the log of the one that runs`
      : `the reward of ${orchestrator} was last called in round ${state.lastRewardRound}, and round ${round - 1n} ended without it: run a node with its account, or see the log of the one that runs`,
  ]
}

/** Two processes that send from one account take each other's nonces. */
function sharedAccounts(nodes: readonly SeenNode[]): string[] {
  const senders = new Map<string, SeenNode[]>()
  for (const node of nodes) {
    const { chain, rounds } = node.status
    if (!chain || !(redeems(node) || rewards(node) || rounds)) continue
    const account = `${chain.account} ${chain.chainId}`
    senders.set(account, [...(senders.get(account) ?? []), node])
  }
  return [...senders.values()]
    .filter((sharing) => sharing.length > 1)
    .map((sharing) => {
      const { account } = sharing[0]!.status.chain!
      return `${sharing.map(nameOf).join(' and ')} all send transactions from ${account} and take each other's nonces: leave that to one of them, or give each its own account`
    })
}

function ofRedeemers(node: SeenNode): string[] {
  const { nowMs, redeemers = [], tickets } = node.status
  const name = nameOf(node)
  const kept = tickets?.groups
    .filter(({ state }) => state === 'open')
    .reduce((sum, { count }) => sum + count, 0)
  const othersServe = redeemers.some(({ answers }) => answers)
  return redeemers.flatMap((redeemer) => {
    if (redeemer.sinceMs === null) return []
    if (redeemer.answers && redeemer.lastError === null) return []
    if (hasCause(node, 'redeemer-refuses', redeemer.name)) return []
    if (redeemer.answers) {
      return [
        `${name} is refused by its redeemer ${redeemer.name} (${redeemer.lastError}): both need the same orchestrator and the same -redeemerSecret`,
      ]
    }
    const meanwhile = othersServe
      ? 'another one serves meanwhile'
      : `${counted(kept ?? 0, 'winning ticket')} wait for it, and none is lost until it expires`
    return [
      `${name} has not reached its redeemer ${redeemer.name} for ${duration(nowMs - redeemer.sinceMs)} (${redeemer.lastError ?? 'no answer'}); ${meanwhile}: start the redeemer, or correct -redeemerAddr`,
    ]
  })
}

/** What an operator can do about tickets that wait for a reason, urgent or not. */
const REMEDIES: Readonly<Record<string, string>> = {
  'gas-too-high': 'raise -maxGasPrice, or wait for cheaper gas',
  'no-ether': 'send the account that redeems ether',
  'chain-unavailable': 'check the endpoints of -ethUrl',
  'redeemer-refuses': 'see its log for the reason, and check that both are for the same orchestrator',
}

/** The cause that explains why tickets wait for a reason: the node's own words are enough. */
const EXPLAINED: Readonly<Record<string, string>> = {
  'chain-unavailable': 'chain-unreachable',
  'no-ether': 'no-ether',
}

/** What can be done about tickets that are about to expire. */
const LAST_REMEDIES: Readonly<Record<string, string>> = {
  underfunded: 'only the sender can help, with a larger deposit',
  'not-worth-gas': 'they pay less than the gas that redeeming them takes, so only cheaper gas helps',
  'chain-refuses': 'check whether the round is initialised and the contract is not paused',
  'redeemer-away': 'start the redeemer',
  'redeemer-unable': 'see the log of the redeemer: its disk may be full, or the sender out of funds',
  reverted: 'look at the transaction that failed, and at the log',
}

function ofTickets(node: SeenNode): string[] {
  const { chain, tickets } = node.status
  return (tickets?.groups ?? []).flatMap((group) => {
    if (!['open', 'submitted', 'delivered'].includes(group.state) || group.count === 0) return []
    const explained = EXPLAINED[group.reason]
    if (explained !== undefined && hasCause(node, explained)) return []
    const urgent = chain ? urgency(group, chain) : null
    const remedy = remedyOf(group, urgent !== null)
    if (remedy === null) return []
    const tickets = `${counted(group.count, 'winning ticket')} of ${nameOf(node)} (${ether(group.faceValueWei)})`
    const when = urgent === null ? '' : `, and the first expires in ${l1Blocks(urgent)}`
    return [`${tickets} ${reasonSentence(group, group.count)}${when}: ${remedy}`]
  })
}

function remedyOf({ reason, state }: TicketGroup, isUrgent: boolean): string | null {
  if (state === 'open' && REMEDIES[reason]) return REMEDIES[reason]
  if (!isUrgent || reason === 'params-live') return null
  if (state === 'submitted') return 'check whether the gas price is too low for their transactions'
  if (state === 'delivered') return 'check whether the redeemer runs and redeems'
  return LAST_REMEDIES[reason] ?? 'see the log'
}

/** The L1 blocks left until a group of tickets expires, when they are few; null while there is time. */
function urgency({ firstExpiryBlock }: TicketGroup, { l1Block, rounds }: Chain): bigint | null {
  if (firstExpiryBlock === null || l1Block === null || !rounds) return null
  const part = (rounds.nextL1Block - rounds.startL1Block) / URGENT_PART
  const left = firstExpiryBlock - l1Block
  return left <= (part < URGENT_BLOCKS ? part : URGENT_BLOCKS) ? left : null
}

function ofMoney(node: SeenNode): string[] {
  const { chain, reward } = node.status
  if (!chain) return []
  const lasts = [
    ...(redeems(node) && chain.redemptionsLeft !== null && !hasCause(node, 'no-ether')
      ? [[chain.redemptionsLeft, 'redemption'] as const]
      : []),
    ...(reward && rewards(node) && reward.roundsLeft !== null
      ? [[reward.roundsLeft, 'reward'] as const]
      : []),
  ]
  const few = lasts.filter(([left]) => left < FEW_CALLS)
  if (few.length === 0) return []
  const enough = few.map(([left, what]) => counted(left, `more ${what}`)).join(' or ')
  return [
    `the account ${chain.account} of ${nameOf(node)} has ${ether(chain.balance ?? 0n)}, enough for ${enough}: send it ether`,
  ]
}

function ofOrchestrators(node: SeenNode): string[] {
  const { nowMs, overpaid = [] } = node.status
  return overpaid.map(
    ({ earnedWei, orchestrator, chargedWei, times, untilMs }) =>
      `${nameOf(node)} ${untilMs > nowMs ? 'leaves' : 'left'} out the orchestrator ${orchestrator} for a while (${counted(times, 'time')}): it charged ${ether(chargedWei)} lately for work worth ${ether(earnedWei)} at its own price; see the log, and put its account on -orchBlocklist if that continues`,
  )
}

function ofReward(node: SeenNode): string[] {
  const { chain, reward, roles = [], rounds } = node.status
  const name = nameOf(node)
  const found: string[] = []
  if (
    reward?.state === 'off' &&
    reward.mode !== 'off' &&
    (reward.mode === 'on' || roles.includes('reward'))
  ) {
    found.push(`${name} does not call reward: ${reward.why ?? 'see its log'}`)
  }
  if (reward?.lastError && (reward.state === 'due' || reward.state === 'unknown')) {
    const of = reward.currentRound === null ? '' : ` of round ${reward.currentRound}`
    found.push(
      `${name} could not call the reward${of} yet (${reward.lastError.message}) and retries until the round is over: remove the cause; its log says more`,
    )
  }
  const isDue = chain?.rounds && chain.rounds.lastInitialized < chain.rounds.current
  if (rounds?.lastError && isDue) {
    found.push(
      `${name} could not initialise round ${chain.rounds!.current} yet (${rounds.lastError.message}) and retries: remove the cause; its log says more`,
    )
  }
  return found
}

function ofTranscoding(node: SeenNode): string[] {
  const { media, roles = [], transcoders, worker } = node.status
  const name = nameOf(node)
  const silent = (transcoders ?? []).filter(({ outOfRotation }) => outOfRotation === 'silent')
  const hasNone = transcoders?.every(({ outOfRotation }) => outOfRotation !== null)
  return [
    ...(hasNone && !roles.includes('transcoder')
      ? [`${name} has no transcoder, so it can take no work: start one with its -orchSecret and -orchAddr`]
      : []),
    ...(media?.devices ?? []).flatMap(({ device, outOfService }) =>
      outOfService === null
        ? []
        : [
            `${name} no longer uses its GPU ${device}, which failed (${outOfService}): check it and restart the node`,
          ],
    ),
    ...silent.map(
      ({ address }) =>
        `${name} hears nothing from its transcoder ${address}: check whether it runs and can be reached`,
    ),
    ...(worker && worker.orchestrator === null && !hasCause(node, 'not-registered')
      ? [
          `${name} is not registered with any orchestrator (${worker.lastError ?? 'none answered yet'}): check -orchAddr and -orchSecret`,
        ]
      : []),
  ]
}
