import { ether } from '../lib/amounts.ts'
import { larger, smaller } from '../lib/bigints.ts'
import type { Hex } from '../lib/bytes.ts'
import { counted } from '../lib/counted.ts'
import type { Address } from '../lib/crypto.ts'
import type { CauseCode } from './cause-facts.ts'
import type { OrchestratorState } from './chain.ts'
import type { RoundClock } from './redemption.ts'

const DAY_MS = 86_400_000
const GIBIBYTE = 2n ** 30n
/** A ticket is near its deadline in the last of so many parts of a round. */
const DEADLINE_PART = 10n
/** The contracts mark an orchestrator that stays by a round that never comes. */
const FAR_ROUNDS = 1_000n
/** A certificate is replaced within this time. */
const CERTIFICATE_DAYS = 14
/** A disk is nearly full with less than a twentieth free, but not above or below these; a small one with less than half. */
const LEAST_FREE = GIBIBYTE
const MOST_FREE = 20n * GIBIBYTE
const FREE_PART = 20n
const SMALL_DISK_PART = 2n
/** A node that has just started takes this long to see that the chain stands still, or that a redeemer is away. */
const UNSEEN_MS = 150_000

/** What a node knows of what may need its operator; null for what does not concern it or is not known. */
export interface AlertFacts {
  readonly nowMs: number
  /** How long the node has been looking. */
  readonly sinceMs: number
  /** The causes that last. */
  readonly causes: readonly {
    readonly code: CauseCode
    readonly about: string
    readonly says: string
    readonly change: string
  }[]
  readonly rounds: RoundClock | null
  /** The reward of the present round: `due` and `round-not-initialized` are those that may be missed. */
  readonly reward: { readonly orchestrator: Address; readonly state: string } | null
  /** The ticket that expires first, of those that are not redeemed. */
  readonly firstTicket: {
    readonly hash: Hex
    readonly faceValue: bigint
    readonly expiryBlock: bigint
  } | null
  readonly recipient: (OrchestratorState & { readonly address: Address }) | null
  /** The account that pays for gas, and what it has spent on it lately. */
  readonly account: {
    readonly address: Address
    readonly balanceWei: bigint
    readonly spentWei: bigint
    readonly spentDays: number
    /** `-alertBalanceDays`. */
    readonly leastDays: number
  } | null
  /** What a gateway pays orchestrators with, and how long it lasts at what is paid; null while nothing is. */
  readonly deposit: {
    readonly address: Address
    readonly depositWei: bigint
    readonly lastsMs: number | null
    readonly leastDays: number
  } | null
  /** Of the cluster; null while its database does not answer, and so nothing is known of them. */
  readonly members:
    | readonly {
        readonly node: string
        readonly address: string
        readonly isAlive: boolean
        readonly silentMs: number
      }[]
    | null
  readonly certificateExpiresAtMs: number | null
  readonly devices: readonly { readonly device: string; readonly outOfService: string | null }[]
  readonly disk: {
    readonly path: string
    readonly freeBytes: bigint
    readonly totalBytes: bigint
  } | null
}

/** One thing that needs the operator. */
export interface AlertFinding {
  /** What it concerns, such as an address; empty where the rule says it all. */
  readonly about: string
  /** What is wrong, with its numbers. */
  readonly says: string
  /** What to do. */
  readonly change: string
}

/** A rule that finds such things. */
export interface AlertRule {
  readonly title: string
  readonly severity: 'warning' | 'critical'
  /** Told by every node of itself, or by one node of a cluster for all. */
  readonly scope: 'node' | 'cluster'
  /** How long it must last before it is told. */
  readonly forMs: number
  /** What it finds, without numbers. */
  readonly means: string
  /** Null while the facts do not tell. */
  find(facts: AlertFacts): readonly AlertFinding[] | null
}

/**
 * Every rule: webhooks, the metric `livepeer_alert` and the rules for Prometheus (`deploy/prometheus/alerts.yml`) all come
 * from this table. Titles are fixed, so that they can be searched for.
 */
export const ALERTS = {
  'reward-at-risk': {
    title: 'Reward at risk',
    severity: 'critical',
    scope: 'cluster',
    // The round may be known some seconds before that its reward was called, as after the chain could not be read.
    forMs: 30_000,
    means: 'half of the round is gone, and reward is not called',
    find: ({ reward, rounds }) => {
      if (!reward || !rounds || reward.state === 'unknown') return null
      if (reward.state !== 'due' && reward.state !== 'round-not-initialized') return []
      const passed = rounds.l1Block - rounds.startL1Block
      if (2n * passed < rounds.roundLength) return []
      const left = rounds.roundLength - passed
      return one(
        reward.orchestrator,
        `reward of ${reward.orchestrator} in round ${rounds.currentRound} is not called, and ${left} of the round's ${rounds.roundLength} L1 blocks are left`,
        reward.state === 'due'
          ? 'check the account’s ether and the endpoints of -ethUrl, or call it with: livepeer orchestrator reward'
          : 'initialise the round with: livepeer round init',
      )
    },
  },
  'ticket-near-deadline': {
    title: 'Winning ticket near its deadline',
    severity: 'critical',
    scope: 'cluster',
    forMs: 0,
    means: 'a winning ticket is not redeemed, and a tenth of a round is left in which it can be',
    find: ({ firstTicket, rounds }) => {
      if (!rounds) return null
      if (!firstTicket) return []
      const left = firstTicket.expiryBlock - rounds.l1Block
      if (left * DEADLINE_PART > rounds.roundLength) return []
      const { faceValue, hash } = firstTicket
      return one(
        '',
        left > 0n
          ? `the ticket ${hash} over ${ether(faceValue)} is not redeemed, and can be for ${left} more L1 blocks`
          : `the ticket ${hash} over ${ether(faceValue)} was not redeemed before its deadline`,
        `see what it waits for with: livepeer tickets show ${hash}`,
      )
    },
  },
  'redeemer-unreachable': {
    title: 'Redeemer unreachable',
    severity: 'critical',
    scope: 'node',
    forMs: 2 * 60_000,
    means: 'a redeemer does not answer or refuses this orchestrator, so winning tickets wait',
    find: onceSeen(ofCauses('redeemer-away', 'redeemer-refuses')),
  },
  'balance-low': {
    title: 'Balance runs out',
    severity: 'critical',
    scope: 'node',
    // What a gateway spends is not known well at first.
    forMs: 10 * 60_000,
    means:
      'the account’s ether or a gateway’s deposit does not last for -alertBalanceDays, or does not pay for anything',
    find: ({ account, causes, deposit }) => {
      const broke = ofCauses('no-ether', 'no-deposit', 'no-reserve')({ causes })
      if (!account && !deposit && broke.length === 0) return null
      const isBroke = causes.some(({ code }) => code === 'no-ether')
      return [...broke, ...(isBroke ? [] : etherLeft(account)), ...depositLeft(deposit)]
    },
  },
  'rpc-stale': {
    title: 'Chain not followed',
    severity: 'critical',
    scope: 'node',
    forMs: 2 * 60_000,
    means: 'no endpoint of -ethUrl answers, or the chain has no new blocks',
    find: onceSeen(ofCauses('chain-unreachable', 'chain-standing-still')),
  },
  'orchestrator-inactive': {
    title: 'Orchestrator inactive',
    severity: 'critical',
    scope: 'cluster',
    forMs: 0,
    means: 'the orchestrator is not in the active set, or leaves it with the next round',
    find: ({ recipient, rounds }) => {
      if (!recipient || !rounds) return null
      const { activationRound, active, address, deactivationRound, registered } = recipient
      const { currentRound } = rounds
      const toChange = 'bond more with: livepeer orchestrator bond, or register again'
      if (!registered) {
        return one(address, `the orchestrator ${address} is not registered, so no gateway pays it`, toChange)
      }
      // One that was just registered works from the next round on.
      if (!active && activationRound > currentRound) return []
      if (!active) {
        return one(
          address,
          `the orchestrator ${address} is not in the active set of round ${currentRound}, so gateways do not use it`,
          toChange,
        )
      }
      if (deactivationRound <= currentRound || deactivationRound - currentRound > FAR_ROUNDS) return []
      return one(
        address,
        `the orchestrator ${address} leaves the active set in round ${deactivationRound}; this is round ${currentRound}`,
        toChange,
      )
    },
  },
  'node-lost': {
    title: 'Node of the cluster lost',
    severity: 'critical',
    scope: 'cluster',
    forMs: 60_000,
    means: 'a node of the cluster is gone without having ended in order',
    find: ({ members }) =>
      members
        ?.filter(({ isAlive }) => !isAlive)
        .map(({ address, node, silentMs }) => ({
          about: node,
          says: `the node ${node} of this cluster at ${address} has not been seen for ${Math.round(silentMs / 1000)} s`,
          change: 'check that machine, and start its node again',
        })) ?? null,
  },
  'certificate-expiring': {
    title: 'Certificate expires',
    severity: 'warning',
    scope: 'node',
    forMs: 0,
    means: 'the certificates of -certs expire within 14 days',
    find: ({ certificateExpiresAtMs: expiresAtMs, nowMs }) => {
      if (expiresAtMs === null || expiresAtMs - nowMs > CERTIFICATE_DAYS * DAY_MS) return []
      return one(
        '',
        `the certificates of -certs expire in ${counted(Math.max(0, Math.floor((expiresAtMs - nowMs) / DAY_MS)), 'day')}`,
        'make new ones with: livepeer certs, and restart the node',
      )
    },
  },
  'gpu-out-of-service': {
    title: 'GPU out of service',
    severity: 'critical',
    scope: 'node',
    forMs: 60_000,
    means: 'a GPU failed and is no longer used',
    find: ({ devices }) =>
      devices.flatMap(({ device, outOfService }) =>
        outOfService === null
          ? []
          : one(
              device,
              `the GPU ${device} is no longer used, since it failed (${outOfService})`,
              'check it and restart the node',
            ),
      ),
  },
  'disk-nearly-full': {
    title: 'Disk nearly full',
    severity: 'critical',
    scope: 'node',
    forMs: 60_000,
    means: 'the disk of the data folder is nearly full',
    find: ({ disk }) => {
      if (!disk) return null
      const { freeBytes, path, totalBytes } = disk
      if (freeBytes >= leastFree(totalBytes)) return []
      return one(
        '',
        `the disk of ${path} has ${gibibytes(freeBytes)} GiB of ${gibibytes(totalBytes)} GiB free`,
        'make room: a node that cannot write takes no payments',
      )
    },
  },
} as const satisfies Readonly<Record<string, AlertRule>>

/** The code of a rule, also its label in metrics. */
export type AlertCode = keyof typeof ALERTS

/** All rules, in the order of the table. */
export const ALERT_CODES = Object.keys(ALERTS) as readonly AlertCode[]

/** A thing that needs the operator, with the rule that found it. */
export interface Alert extends AlertFinding {
  readonly code: AlertCode
}

/** What the rules find. */
export interface Found {
  readonly alerts: readonly Alert[]
  /** The rules that cannot tell now. */
  readonly unknown: ReadonlySet<AlertCode>
}

/** All that needs the operator now. */
export function alertsIn(facts: AlertFacts): Found {
  const found = ALERT_CODES.map((code) => ({ code, findings: ruleOf(code).find(facts) }))
  return {
    alerts: found.flatMap(({ code, findings }) => (findings ?? []).map((one) => ({ code, ...one }))),
    unknown: new Set(found.flatMap(({ code, findings }) => (findings === null ? [code] : []))),
  }
}

/** The rule of a code. */
export function ruleOf(code: AlertCode): AlertRule {
  return ALERTS[code]
}

function one(about: string, says: string, change: string): AlertFinding[] {
  return [{ about, says, change }]
}

/** What lasts of these causes, in their own words. */
function ofCauses(...codes: readonly CauseCode[]) {
  return ({ causes }: Pick<AlertFacts, 'causes'>): AlertFinding[] =>
    causes
      .filter(({ code }) => codes.includes(code))
      .map(({ about, change, says }) => ({ about, says, change }))
}

/** Null, rather than nothing, as long as nothing is found because the node has just started. */
function onceSeen(find: (facts: AlertFacts) => AlertFinding[]): AlertRule['find'] {
  return (facts) => {
    const found = find(facts)
    return found.length === 0 && facts.sinceMs < UNSEEN_MS ? null : found
  }
}

function etherLeft(account: AlertFacts['account']): AlertFinding[] {
  if (!account || account.spentWei <= 0n) return []
  const { address, balanceWei, leastDays, spentDays, spentWei } = account
  if (balanceWei * BigInt(spentDays) >= spentWei * BigInt(leastDays)) return []
  const days = Number((balanceWei * BigInt(spentDays) * 10n) / spentWei) / 10
  return one(
    address,
    `the account ${address} has ${ether(balanceWei)}, which lasts ${days} days at what it spent in the last ${spentDays} (${ether(spentWei)})`,
    `send ether to ${address}; -alertBalanceDays (${leastDays}) sets when this is told`,
  )
}

function depositLeft(deposit: AlertFacts['deposit']): AlertFinding[] {
  if (!deposit || deposit.lastsMs === null) return []
  const { address, depositWei, lastsMs, leastDays } = deposit
  if (lastsMs >= leastDays * DAY_MS) return []
  const days = Math.floor((lastsMs * 10) / DAY_MS) / 10
  return one(
    `deposit of ${address}`,
    `the deposit of ${address} is ${ether(depositWei)}, which lasts ${days} days at what was paid in the last hour`,
    `deposit more with: livepeer gateway fund; -alertBalanceDays (${leastDays}) sets when this is told`,
  )
}

/** The bytes below which a disk of this size is nearly full. */
function leastFree(totalBytes: bigint): bigint {
  const usual = larger(LEAST_FREE, smaller(totalBytes / FREE_PART, MOST_FREE))
  return smaller(usual, totalBytes / SMALL_DISK_PART)
}

function gibibytes(bytes: bigint): string {
  return (Number((bytes * 10n) / GIBIBYTE) / 10).toFixed(1)
}

/** The name of an alert for Prometheus and Alertmanager, such as `LivepeerRewardAtRisk`. */
export function alertName(code: AlertCode): string {
  return `Livepeer${code.replace(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase())}`
}
