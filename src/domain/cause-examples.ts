import { Rational } from '../lib/rational.ts'
import type { CauseCode, CauseFacts } from './cause-facts.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const ETHER = 10n ** 18n
const [A, B] = ['https://a:8935', 'https://b:8935']

/** An example of every cause, for tests and for the page that explains them. */
export const CAUSE_EXAMPLES: { readonly [Code in CauseCode]: CauseFacts[Code] } = {
  'store-unwritable': { fault: 'the disk is full' },
  'store-away': {
    why: 'the database at postgres://db:5432 cannot be used: connection refused',
    graceMs: 60_000,
  },
  'tickets-shown-twice': { sender: ACCOUNT, tickets: 3, worth: Rational.of(ETHER / 2n) },
  'membership-lapsed': { silentMs: 7_400, reason: 'connection refused' },
  'clock-differs': { aheadMs: -3_250 },
  'account-in-two-roles': {
    ...{ account: ACCOUNT, roles: ['redeemer'] },
    ...{ sibling: '10.0.0.6:7935', others: ['reward'] },
  },
  'cluster-address-unreachable': {
    address: '10.0.0.5:8935',
    by: '10.0.0.6:8935',
    why: 'connect ECONNREFUSED',
  },
  'sibling-unusable': { sibling: '10.0.0.6:8935', error: 'no answer within 5 s' },
  'chain-unreachable': { reason: 'connection refused' },
  'chain-standing-still': { block: 77n, silentMs: 121_400 },
  'no-ether': {
    ...{ account: ACCOUNT, balanceWei: 5n, neededWei: 3_500_000_000_000_001n },
    ...{ calls: 10n, gasPriceWei: 1_000_000_000n },
  },
  'no-deposit': { account: ACCOUNT, reserveWei: ETHER },
  'no-reserve': { account: ACCOUNT, depositWei: ETHER / 2n },
  'funds-unlocking': { account: ACCOUNT, withdrawRound: 12n, round: 11n },
  'deposit-too-small': {
    ...{ account: ACCOUNT, depositWei: ETHER / 10n, faceValueWei: ETHER / 4n, multiplier: 2n },
    ...{ orchestrator: A, count: 1, of: 1 },
  },
  'reserve-too-small': {
    ...{ account: ACCOUNT, reserveWei: ETHER / 100n, poolSize: 100n, neededShareWei: ETHER / 1000n },
    ...{ orchestrators: [A, B], of: 3 },
  },
  'price-above-maximum': {
    limit: Rational.of(1000n),
    best: Rational.of(2401n, 2n),
    orchestrator: B,
    count: 2,
    of: 2,
  },
  'ticket-ev-above-maximum': {
    limitWei: Rational.of(10n),
    bestWei: Rational.of(25n, 2n),
    orchestrator: A,
    count: 1,
    of: 2,
  },
  'capability-missing': { missing: ['HEVC decoding', 'MP4'], orchestrators: [A], of: 1 },
  'orchestrators-suspended': {
    orchestrators: [{ orchestrator: A, reason: 'ErrSegSig', until: 'for 30 s' }],
    of: 1,
  },
  'orchestrators-silent': {
    orchestrators: [A, B].map((orchestrator) => ({ orchestrator, reason: 'timeout' })),
    of: 2,
  },
  'orchestrator-unusable': { orchestrator: A, reason: 'connection refused' },
  'orchestrator-webhook-failing': { webhook: 'https://hook.example', reason: 'it answers 500', known: 2 },
  'orchestrators-full': { orchestrators: [A], of: 2 },
  'orchestrators-refuse': { orchestrators: [{ orchestrator: A, reason: 'it tells no price' }], of: 1 },
  'orchestrators-blocked': { orchestrators: [A], of: 1 },
  'orchestrators-busy': { orchestrators: [A] },
  'no-orchestrators': { where: 'on-chain' },
  'streams-full': { streams: 10 },
  'auth-webhook-failing': { webhook: 'https://hook.example', reason: 'no answer within 10 s' },
  'recording-failing': { store: 's3+https://store.example', reason: 'no answer in 30 s', waiting: 12 },
  'recording-lost': { store: 's3+https://store.example', stream: 'movie', segments: 3 },
  'object-store-failing': { store: 's3://eu/bucket', reason: 's3://eu/bucket answers 403: AccessDenied' },
  'verifier-failing': { verifier: 'https://verifier.example', reason: 'it answers 500' },
  'gateway-webhook-failing': { webhook: 'https://hook.example', reason: 'it answers 502' },
  'account-not-registered': { account: ACCOUNT, rewardCallerOf: OTHER },
  'recipient-inactive': { recipient: ACCOUNT, sender: OTHER, text: 'inactive in round 7' },
  'sender-underfunded': { sender: OTHER, text: 'insufficient sender reserve' },
  'sender-unlocking': { sender: OTHER, text: 'set to unlock soon' },
  'sender-unknown': { sender: OTHER, text: 'no answer' },
  'payment-refused': {
    sender: OTHER,
    reason: 'since they do not cover the segment',
    text: 'Insufficient balance',
  },
  'service-uri-differs': { account: ACCOUNT, serviceUri: A, registeredUri: B },
  'transcoder-refused': { address: '10.0.0.9:4444' },
  'not-registered': { orchestrators: [A, B], reason: 'connection refused' },
  'orchestrator-refused': { host: '10.0.0.9', why: 'secret', text: 'wrong secret' },
  'redeemer-away': { redeemer: 'r:8935', error: 'connection refused' },
  'redeemer-refuses': { redeemer: 'r:8935', error: 'unimplemented', why: 'not-a-redeemer' },
}
