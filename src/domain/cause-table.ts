import { ether, etherAtLeast } from '../lib/amounts.ts'
import { counted } from '../lib/counted.ts'
import type { Rational } from '../lib/rational.ts'
import type { CauseCode, CauseFacts, CauseKind, RedeemerRefusal } from './cause-facts.ts'

/** A refusal that happened once is forgotten after this time. */
const PASSES_MS = 5 * 60_000
/** What is said of each place where there is no orchestrator. */
const NOWHERE: Readonly<Record<CauseFacts['no-orchestrators']['where'], string>> = {
  listed: 'no orchestrator is listed',
  webhook: 'the webhook of -orchWebhookUrl lists no orchestrator that can be called',
  'on-chain': 'no orchestrator is active on chain with an address that can be called',
}
/** Named in a sentence; further ones are counted. */
const MAX_NAMED = 5

/** The roles that may follow a chain, all but the transcoder, and so keep a store. */
const ON_CHAIN = ['gateway', 'orchestrator', 'redeemer', 'reward', 'roundInitializer']

/** The roles that may share the store of a cluster. */
const IN_CLUSTERS = ['orchestrator', 'redeemer', 'reward', 'roundInitializer']

/**
 * Every cause that a node knows: whose side it is on, what it says and what to change. The log, `/status`, the metric
 * `livepeer_problem` and the answer to a publisher all take their words from here.
 */
export const CAUSES: { readonly [Code in CauseCode]: CauseKind<CauseFacts[Code]> } = {
  'store-unwritable': {
    side: 'operator',
    of: ON_CHAIN,
    level: 'error',
    title: 'store not writable',
    says: ({ fault }) => `nothing can be written, so whatever would have to be kept is refused: ${fault}`,
    change: () => 'make room on the disk, or repair it; the node goes on by itself',
  },
  'store-away': {
    side: 'operator',
    of: ['orchestrator'],
    level: 'error',
    title: 'database of the cluster away',
    says: ({ graceMs, why }) =>
      `${why}; sessions that this node knows go on for up to ${graceMs / 1000} s, their payments are kept in a journal, and new sessions are refused`,
    change: () => 'check the database and the network to it; the node goes on by itself',
  },
  'tickets-shown-twice': {
    side: 'gateway',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'tickets shown to several nodes',
    says: ({ sender, tickets, worth }) =>
      `the gateway ${sender} showed ${counted(tickets, 'ticket')} worth ${ether(worth.floor())} to several nodes while the database was away: only one counts`,
    change: () => 'nothing, unless it goes on: lower -storeGraceValue, which bounds what this costs',
  },
  'membership-lapsed': {
    side: 'operator',
    of: IN_CLUSTERS,
    level: 'error',
    title: 'membership in the cluster lapsed',
    says: ({ reason, silentMs }) =>
      `the database of -store has not renewed this node's membership for ${Math.round(silentMs / 1000)} s (${reason}), so its siblings count it out`,
    change: () => 'check the database and the network to it; the node goes on by itself',
  },
  'clock-differs': {
    side: 'operator',
    of: IN_CLUSTERS,
    title: 'clocks of this machine and the database differ',
    says: ({ aheadMs }) =>
      `the clock of the database of -store is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's`,
    change: () => 'set both by the same time service (NTP)',
  },
  'account-in-two-roles': {
    side: 'operator',
    of: IN_CLUSTERS,
    title: 'one account in two roles of the cluster',
    says: ({ account, others, roles, sibling }) =>
      `this node (${roles.join(', ')}) and ${sibling} (${others.join(', ')}) use the account ${account}, with which one process of the cluster sends: what that one does not do is left undone`,
    change: () => 'give each role an account of its own, or both nodes the same roles',
  },
  'cluster-address-unreachable': {
    side: 'operator',
    of: ['orchestrator'],
    title: 'siblings do not reach this node',
    says: ({ address, by, why }) =>
      `the node ${by} of this cluster does not reach this one at ${address} (${why}), so it hands it no segments`,
    change: () => 'give -clusterAddr, the HOST:PORT at which the other nodes reach this one',
  },
  'sibling-unusable': {
    side: 'operator',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'node of the cluster cannot be called',
    says: ({ error, sibling }) =>
      `the node ${sibling} of this cluster does not take segments from this one (${error})`,
    change: () => 'check that node and the network to it',
  },
  'chain-unreachable': {
    side: 'chain',
    of: ON_CHAIN,
    level: 'error',
    title: 'chain not answering',
    says: ({ reason }) => `no endpoint of the chain answers as it should (${reason})`,
    change: () => 'check the endpoints of -ethUrl; the node retries',
  },
  'chain-standing-still': {
    side: 'chain',
    of: ON_CHAIN,
    title: 'no new blocks from the chain',
    says: ({ block, silentMs }) =>
      `the endpoints answer, but there has been no block after ${block} for ${Math.round(silentMs / 1000)} s`,
    change: () => 'check the endpoints of -ethUrl: they may have lost the network',
  },
  'no-ether': {
    side: 'operator',
    of: ['orchestrator', 'redeemer'],
    level: 'error',
    title: 'account cannot pay for redemptions',
    says: ({ account, balanceWei, gasPriceWei }) =>
      `the account ${account} has ${ether(balanceWei)}, too little to redeem a ticket at a gas price of ${ether(gasPriceWei)}, so winning tickets wait and expire`,
    change: ({ account, calls, neededWei }) =>
      `send ${account} at least ${etherAtLeast(neededWei)}, which pays for ${calls} redemptions`,
  },

  'no-deposit': {
    side: 'gateway',
    of: ['gateway'],
    title: 'no deposit to pay orchestrators with',
    says: ({ account, reserveWei }) =>
      `the account ${account} has no deposit to pay with (its reserve is ${ether(reserveWei)})`,
    change: ({ reserveWei }) => fundWith(reserveWei > 0n ? '--deposit AMOUNT' : BOTH_FUNDS),
  },
  'no-reserve': {
    side: 'gateway',
    of: ['gateway'],
    title: 'no reserve to pay orchestrators with',
    says: ({ account, depositWei }) =>
      `the account ${account} has no reserve, without which no orchestrator takes its tickets (its deposit is ${ether(depositWei)})`,
    change: ({ depositWei }) => fundWith(depositWei > 0n ? '--reserve AMOUNT' : BOTH_FUNDS),
  },
  'funds-unlocking': {
    side: 'gateway',
    of: ['gateway'],
    title: 'deposit and reserve are being withdrawn',
    says: ({ account, round, withdrawRound }) =>
      `deposit and reserve of ${account} can be withdrawn from round ${withdrawRound} on, and this is round ${round}, so no orchestrator takes its tickets`,
    change: () => 'cancel the withdrawal with: livepeer gateway cancel-unlock',
  },
  'deposit-too-small': {
    side: 'gateway',
    of: ['gateway'],
    title: 'deposit too small for the tickets asked for',
    says: ({ account, count, depositWei, faceValueWei, multiplier, of, orchestrator }) =>
      `the deposit of ${account} is ${ether(depositWei)}, but ${countedOf(count, of)} ${verb(count, 'asks', 'ask')} for tickets of at least ${ether(faceValueWei)} (${orchestrator}), which takes a deposit of ${etherAtLeast(faceValueWei * multiplier)}, ${etherAtLeast(faceValueWei * multiplier - depositWei)} more`,
    change: ({ depositWei, faceValueWei, multiplier }) =>
      `${multiplier > 1n ? `lower -depositMultiplier ${multiplier}, or ` : ''}raise the deposit with: livepeer gateway fund --deposit ${typed(faceValueWei * multiplier - depositWei)}`,
  },
  'reserve-too-small': {
    side: 'gateway',
    of: ['gateway'],
    title: 'reserve too small for orchestrators',
    says: ({ account, neededShareWei, of, orchestrators, poolSize, reserveWei }) =>
      `the reserve of ${account}, ${ether(reserveWei)}, gives each of ${poolSize} active orchestrators ${ether(shareOf(reserveWei, poolSize))}, too little for ${countedOf(orchestrators.length, of)} (${named(orchestrators)}); redeeming a ticket takes a share of about ${etherAtLeast(neededShareWei)}`,
    change: ({ neededShareWei, poolSize, reserveWei }) => {
      const needed = neededShareWei * poolSize
      const more = needed > reserveWei ? typed(needed - reserveWei) : 'AMOUNT'
      return `raise the reserve to about ${etherAtLeast(needed)} with: livepeer gateway fund --reserve ${more}`
    },
  },
  'price-above-maximum': {
    side: 'gateway',
    of: ['gateway'],
    title: 'offers above -maxPricePerUnit',
    says: ({ best, count, limit, of, orchestrator }) =>
      `${countedOf(count, of)} ${verb(count, 'asks', 'ask')} for more than -maxPricePerUnit, ${perPixel(limit)}: the best offer is ${perPixel(best)}, by ${orchestrator}`,
    change: ({ best }) =>
      `set -ignoreMaxPriceIfNeeded, or raise -maxPricePerUnit; while the gateway runs with: livepeer price set ${best.ceil()}wei`,
  },
  'ticket-ev-above-maximum': {
    side: 'gateway',
    of: ['gateway'],
    title: 'tickets above -maxTicketEV',
    says: ({ bestWei, count, limitWei, of, orchestrator }) =>
      `${countedOf(count, of)} ${verb(count, 'asks', 'ask')} for tickets worth more than -maxTicketEV, ${decimal(limitWei)} wei: the smallest are worth ${decimal(bestWei)} wei, by ${orchestrator}`,
    change: ({ bestWei }) => `raise -maxTicketEV to at least ${bestWei.ceil()}`,
  },
  'capability-missing': {
    side: 'publisher',
    of: ['gateway'],
    title: 'orchestrators cannot do this stream',
    says: ({ missing, of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} cannot do this stream (${named(orchestrators)}): it takes ${missing.join(', ')}`,
    change: () => 'change the input or the profiles, or add an orchestrator that can',
  },
  'orchestrators-suspended': {
    side: 'orchestrator',
    of: ['gateway'],
    title: 'orchestrators suspended after failures',
    says: ({ of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} ${verb(orchestrators.length, 'is', 'are')} suspended: ${named(orchestrators.map(({ orchestrator, reason, until }) => `${orchestrator} ${until}, since ${reason}`))}`,
    change: () => 'see what these orchestrators say, or add others',
  },
  'orchestrators-silent': {
    side: 'orchestrator',
    of: ['gateway'],
    title: 'orchestrators do not answer',
    says: ({ of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} ${verb(orchestrators.length, 'does', 'do')} not answer: ${reasons(orchestrators)}`,
    change: () => 'start them, correct -orchAddr, or check the network in between',
  },
  'orchestrator-unusable': {
    side: 'orchestrator',
    of: ['gateway'],
    passesMs: PASSES_MS,
    title: 'listed orchestrator makes no offer',
    says: ({ orchestrator, reason }) => `the listed orchestrator ${orchestrator} makes no offer (${reason})`,
    change: () => 'start it, or take it off the list of -orchAddr or -orchWebhookUrl',
  },
  'orchestrator-webhook-failing': {
    side: 'operator',
    of: ['gateway'],
    passesMs: PASSES_MS,
    title: 'webhook for orchestrators fails',
    says: ({ known, reason, webhook }) =>
      `the webhook ${webhook} of -orchWebhookUrl gives no list (${reason}); ${known === 0 ? 'no orchestrator is known' : `${counted(known, 'orchestrator')} of its last list ${verb(known, 'stays', 'stay')} in use`}`,
    change: () => 'see what the webhook does, or correct -orchWebhookUrl',
  },
  'orchestrators-full': {
    side: 'orchestrator',
    of: ['gateway'],
    title: 'orchestrators have no room',
    says: ({ of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} ${verb(orchestrators.length, 'has', 'have')} no room for another session (${named(orchestrators)})`,
    change: () => 'add orchestrators or transcoders, or raise their -maxSessions',
  },
  'orchestrators-refuse': {
    side: 'orchestrator',
    of: ['gateway'],
    title: 'orchestrators refuse',
    says: ({ of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} ${verb(orchestrators.length, 'makes', 'make')} no offer that can be used: ${reasons(orchestrators)}`,
    change: () => 'see their logs, or add other orchestrators',
  },
  'orchestrators-blocked': {
    side: 'gateway',
    of: ['gateway'],
    title: 'orchestrators on -orchBlocklist',
    says: ({ of, orchestrators }) =>
      `${countedOf(orchestrators.length, of)} ${verb(orchestrators.length, 'is', 'are')} on -orchBlocklist (${named(orchestrators)})`,
    change: () => 'take them off -orchBlocklist, or add other orchestrators',
  },
  'orchestrators-busy': {
    side: 'orchestrator',
    of: ['gateway'],
    title: 'orchestrators slower than the stream',
    says: ({ orchestrators }) =>
      `every orchestrator of this stream is still at work on earlier segments (${named(orchestrators)})`,
    change: () => 'use fewer or smaller profiles, or add orchestrators',
  },
  'no-orchestrators': {
    side: 'gateway',
    of: ['gateway'],
    title: 'no orchestrator known',
    says: ({ where }) => NOWHERE[where],
    change: ({ where }) =>
      where === 'webhook' ? 'see what the webhook answers' : 'name orchestrators with -orchAddr',
  },
  'streams-full': {
    side: 'gateway',
    of: ['gateway'],
    passesMs: PASSES_MS,
    title: 'streams refused: -maxSessions reached',
    says: ({ streams }) =>
      `-maxSessions allows ${counted(streams, 'stream')}, and there are as many, so further ones are refused`,
    change: () => 'raise -maxSessions',
  },
  'auth-webhook-failing': {
    side: 'operator',
    of: ['gateway'],
    passesMs: PASSES_MS,
    title: 'webhook for publishers fails',
    says: ({ reason, webhook }) =>
      `the webhook ${webhook} of -authWebhookUrl does not decide on new streams (${reason}), so they are refused`,
    change: () => 'see what the webhook does, or correct -authWebhookUrl',
  },
  'recording-failing': {
    side: 'operator',
    of: ['gateway'],
    level: 'error',
    passesMs: PASSES_MS,
    title: 'recordings cannot be saved',
    says: ({ reason, store, waiting }) =>
      `the store of recordings ${store} does not take segments (${reason}); ${counted(waiting, 'segment')} of one stream ${waiting === 1 ? 'waits' : 'wait'} in memory, and live playback goes on`,
    change: () => 'see whether that store is up and what its keys may do; the recording catches up by itself',
  },
  'recording-lost': {
    side: 'operator',
    of: ['gateway'],
    level: 'error',
    passesMs: PASSES_MS,
    title: 'recording has a gap',
    says: ({ segments, store, stream }) =>
      `${counted(segments, 'segment')} of "${stream}" ${segments === 1 ? 'is' : 'are'} in no recording, since ${store} was away for longer than segments can wait`,
    change: () => 'see why that store was away, or was too slow for the streams that are recorded',
  },
  'verifier-failing': {
    side: 'operator',
    of: ['gateway'],
    passesMs: PASSES_MS,
    title: 'verifier of results fails',
    says: ({ reason, verifier }) =>
      `the verifier ${verifier} of -verifierUrl does not judge results (${reason}), so they are served without its verdict`,
    change: () => 'see what the verifier does, or correct -verifierUrl',
  },
  'object-store-failing': {
    side: 'operator',
    of: ['gateway'],
    title: 'object store fails',
    says: ({ reason, store }) =>
      `the object store ${store} takes no segments (${reason}), so players get them from this node`,
    change: () => 'see what the store does, or correct -objectStore',
  },

  'gateway-webhook-failing': {
    side: 'operator',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'webhook for gateways fails',
    says: ({ reason, webhook }) =>
      `the webhook ${webhook} of -authWebhookUrl does not decide on gateways (${reason}), so they get no offers`,
    change: () => 'see what the webhook does, or correct -authWebhookUrl',
  },
  'account-not-registered': {
    side: 'orchestrator',
    of: ['orchestrator', 'redeemer'],
    title: 'account is not an orchestrator',
    says: ({ account, rewardCallerOf }) =>
      rewardCallerOf === null
        ? `the account ${account}, which tickets are to pay, is neither a registered orchestrator nor any orchestrator's reward caller, so every payment will be refused`
        : `the account ${account}, which tickets are to pay, is not a registered orchestrator but the reward caller of ${rewardCallerOf}, so every payment will be refused`,
    change: ({ account, rewardCallerOf }) =>
      rewardCallerOf === null
        ? `give -ethOrchAddr, the address of the registered orchestrator that tickets pay, or register ${account} with: livepeer orchestrator register`
        : `give -ethOrchAddr ${rewardCallerOf}`,
  },
  'recipient-inactive': {
    side: 'orchestrator',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'payments refused: orchestrator not active',
    says: ({ recipient, sender, text }) =>
      `payments of gateway ${sender} are refused, since ${recipient} is not an active orchestrator (${text})`,
    change: () =>
      'give -ethOrchAddr, the active orchestrator that tickets pay, or get it into the active set with more stake: livepeer orchestrator bond AMOUNT',
  },
  'sender-underfunded': {
    side: 'gateway',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'gateway refused: funds too small',
    says: ({ sender, text }) => `gateway ${sender} has too little deposit or reserve (${text})`,
    change: () => 'only that gateway can help, with more funds: livepeer gateway fund',
  },
  'sender-unlocking': {
    side: 'gateway',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'gateway refused: funds being withdrawn',
    says: ({ sender, text }) => `gateway ${sender} may soon withdraw its funds (${text})`,
    change: () =>
      'only that gateway can help: it must cancel the withdrawal with livepeer gateway cancel-unlock',
  },
  'sender-unknown': {
    side: 'chain',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'gateway refused: funds cannot be read',
    says: ({ sender, text }) => `the funds of gateway ${sender} cannot be read from the chain (${text})`,
    change: () => 'check the endpoints of -ethUrl',
  },
  'payment-refused': {
    side: 'gateway',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'payment of a gateway refused',
    says: ({ reason, sender, text }) => `payments of gateway ${sender} are refused, ${reason} (${text})`,
    change: () => 'nothing here, unless it lasts and concerns many gateways',
  },
  'service-uri-differs': {
    side: 'operator',
    of: ['orchestrator'],
    title: '-serviceAddr is not the address on chain',
    says: ({ account, registeredUri, serviceUri }) =>
      `gateways find ${account} at ${registeredUri}, its address on chain, and not at -serviceAddr ${serviceUri}`,
    change: ({ serviceUri }) =>
      `nothing where a balancer has the address on chain; otherwise correct -serviceAddr, or register it with: livepeer orchestrator set --uri ${serviceUri}`,
  },

  'transcoder-refused': {
    side: 'transcoder',
    of: ['orchestrator'],
    passesMs: PASSES_MS,
    title: 'transcoder refused: wrong secret',
    says: ({ address }) => `the transcoder at ${address} has another -orchSecret than this orchestrator`,
    change: () => 'give both the same -orchSecret, if the transcoder is yours',
  },
  'not-registered': {
    side: 'orchestrator',
    of: ['transcoder'],
    title: 'not registered with any orchestrator',
    says: ({ orchestrators, reason }) =>
      `no orchestrator of -orchAddr takes this transcoder (${named(orchestrators)}): ${reason}`,
    change: () => 'start the orchestrator, or correct -orchAddr; the transcoder retries',
  },

  'orchestrator-refused': {
    side: 'orchestrator',
    of: ['redeemer'],
    passesMs: PASSES_MS,
    title: 'orchestrator refused',
    says: ({ host, text }) => `calls from ${host} are refused (${text})`,
    change: ({ why }) => `${REFUSALS[why].change}, if the orchestrator is yours`,
  },
  'redeemer-away': {
    side: 'redeemer',
    of: ['orchestrator'],
    title: 'redeemer not answering, winning tickets are kept',
    says: ({ error, redeemer }) => `the redeemer ${redeemer} does not answer (${error})`,
    change: () => 'start the redeemer, or correct -redeemerAddr',
  },
  'redeemer-refuses': {
    side: 'operator',
    of: ['orchestrator'],
    level: 'error',
    title: 'redeemer refuses this orchestrator, winning tickets are kept',
    says: ({ error, redeemer, why }) => `${REFUSALS[why].says.replace('REDEEMER', redeemer)} (${error})`,
    change: ({ why }) => REFUSALS[why].change,
  },
}

const BOTH_FUNDS = '--deposit AMOUNT --reserve AMOUNT'

/** How an account gets funds, and how its operator learns of the amounts. */
function fundWith(options: string): string {
  return `fund this account with: livepeer gateway fund ${options}; livepeer gateway check tells what orchestrators ask for`
}

/** An amount to be reached, as commands take it: `0.09ETH`. */
function typed(wei: bigint): string {
  return etherAtLeast(wei).replace(' ', '')
}

const REFUSALS: Readonly<Record<RedeemerRefusal, { readonly says: string; readonly change: string }>> = {
  secret: {
    says: 'the redeemer REDEEMER does not accept the -redeemerSecret of this orchestrator',
    change: 'give both the same -redeemerSecret',
  },
  certificate: {
    says: 'the redeemer REDEEMER does not accept the certificate of this orchestrator',
    change: 'give both -certs with certificates of one authority',
  },
  recipient: {
    says: 'the redeemer REDEEMER redeems for another orchestrator',
    change: 'correct -redeemerAddr, or give both the same -ethOrchAddr',
  },
  'not-a-redeemer': {
    says: 'REDEEMER, named in -redeemerAddr, is not a redeemer; it may be an orchestrator',
    change: 'give the address of a node with -redeemer, with its port',
  },
  other: {
    says: 'the redeemer REDEEMER refuses this orchestrator',
    change: 'see the log of the redeemer',
  },
}

function shareOf(reserveWei: bigint, poolSize: bigint): bigint {
  return poolSize > 0n ? reserveWei / poolSize : 0n
}

/** `the only orchestrator`, `all 3 orchestrators`, `2 of 5 orchestrators`. */
function countedOf(count: number, of: number): string {
  if (count >= of)
    return of === 1 ? 'the only orchestrator' : of === 2 ? 'both orchestrators' : `all ${of} orchestrators`
  return `${count} of ${of} orchestrators`
}

function verb(count: number, one: string, many: string): string {
  return count === 1 ? one : many
}

/** Some texts, the first ones in full. */
function named(texts: readonly string[]): string {
  const more = texts.length - MAX_NAMED
  return `${texts.slice(0, MAX_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function reasons(offers: CauseFacts['orchestrators-silent']['orchestrators']): string {
  return named(offers.map(({ orchestrator, reason }) => `${orchestrator} (${reason})`))
}

function perPixel(price: Rational): string {
  return `${decimal(price)} wei per pixel`
}

/** A few decimals, without trailing zeros. */
function decimal(value: Rational): string {
  const text = value.toFixed(6)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}
