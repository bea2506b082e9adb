import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CAUSE_EXAMPLES } from './cause-examples.ts'
import type { CauseCode } from './cause-facts.ts'
import { CAUSES } from './cause-table.ts'
import { type Cause, codesOf, sentenceOf } from './causes.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const [A, B] = ['https://a:8935', 'https://b:8935']

/** What each example says. */
const SENTENCES: { readonly [Code in CauseCode]: string } = {
  'store-unwritable':
    'nothing can be written, so whatever would have to be kept is refused: the disk is full: make room on the disk, or repair it; the node goes on by itself',
  'store-away':
    'the database at postgres://db:5432 cannot be used: connection refused; sessions that this node knows go on for up to 60 s, their payments are kept in a journal, and new sessions are refused: check the database and the network to it; the node goes on by itself',
  'tickets-shown-twice': `the gateway ${ACCOUNT} showed 3 tickets worth 0.5 ETH to several nodes while the database was away: only one counts: nothing, unless it goes on: lower -storeGraceValue, which bounds what this costs`,
  'membership-lapsed':
    "the database of -store has not renewed this node's membership for 7 s (connection refused), so its siblings count it out: check the database and the network to it; the node goes on by itself",
  'clock-differs':
    "the clock of the database of -store is 3.3 s behind this machine's: set both by the same time service (NTP)",
  'account-in-two-roles': `this node (redeemer) and 10.0.0.6:7935 (reward) use the account ${ACCOUNT}, with which one process of the cluster sends: what that one does not do is left undone: give each role an account of its own, or both nodes the same roles`,
  'cluster-address-unreachable':
    'the node 10.0.0.6:8935 of this cluster does not reach this one at 10.0.0.5:8935 (connect ECONNREFUSED), so it hands it no segments: give -clusterAddr, the HOST:PORT at which the other nodes reach this one',
  'sibling-unusable':
    'the node 10.0.0.6:8935 of this cluster does not take segments from this one (no answer within 5 s): check that node and the network to it',
  'chain-unreachable':
    'no endpoint of the chain answers as it should (connection refused): check the endpoints of -ethUrl; the node retries',
  'chain-standing-still':
    'the endpoints answer, but there has been no block after 77 for 121 s: check the endpoints of -ethUrl: they may have lost the network',
  'no-ether': `the account ${ACCOUNT} has 5 wei, too little to redeem a ticket at a gas price of 1 gwei, so winning tickets wait and expire: send ${ACCOUNT} at least 0.003501 ETH, which pays for 10 redemptions`,
  'no-deposit': `the account ${ACCOUNT} has no deposit to pay with (its reserve is 1 ETH): fund this account with: livepeer gateway fund --deposit AMOUNT; livepeer gateway check tells what orchestrators ask for`,
  'no-reserve': `the account ${ACCOUNT} has no reserve, without which no orchestrator takes its tickets (its deposit is 0.5 ETH): fund this account with: livepeer gateway fund --reserve AMOUNT; livepeer gateway check tells what orchestrators ask for`,
  'funds-unlocking': `deposit and reserve of ${ACCOUNT} can be withdrawn from round 12 on, and this is round 11, so no orchestrator takes its tickets: cancel the withdrawal with: livepeer gateway cancel-unlock`,
  'deposit-too-small': `the deposit of ${ACCOUNT} is 0.1 ETH, but the only orchestrator asks for tickets of at least 0.25 ETH (${A}), which takes a deposit of 0.5 ETH, 0.4 ETH more: lower -depositMultiplier 2, or raise the deposit with: livepeer gateway fund --deposit 0.4ETH`,
  'reserve-too-small': `the reserve of ${ACCOUNT}, 0.01 ETH, gives each of 100 active orchestrators 0.0001 ETH, too little for 2 of 3 orchestrators (${A}, ${B}); redeeming a ticket takes a share of about 0.001 ETH: raise the reserve to about 0.1 ETH with: livepeer gateway fund --reserve 0.09ETH`,
  'price-above-maximum': `both orchestrators ask for more than -maxPricePerUnit, 1000 wei per pixel: the best offer is 1200.5 wei per pixel, by ${B}: set -ignoreMaxPriceIfNeeded, or raise -maxPricePerUnit; while the gateway runs with: livepeer price set 1201wei`,
  'ticket-ev-above-maximum': `1 of 2 orchestrators asks for tickets worth more than -maxTicketEV, 10 wei: the smallest are worth 12.5 wei, by ${A}: raise -maxTicketEV to at least 13`,
  'capability-missing': `the only orchestrator cannot do this stream (${A}): it takes HEVC decoding, MP4: change the input or the profiles, or add an orchestrator that can`,
  'orchestrators-suspended': `the only orchestrator is suspended: ${A} for 30 s, since ErrSegSig: see what these orchestrators say, or add others`,
  'orchestrators-silent': `both orchestrators do not answer: ${A} (timeout), ${B} (timeout): start them, correct -orchAddr, or check the network in between`,
  'orchestrator-unusable': `the listed orchestrator ${A} makes no offer (connection refused): start it, or take it off the list of -orchAddr or -orchWebhookUrl`,
  'orchestrator-webhook-failing':
    'the webhook https://hook.example of -orchWebhookUrl gives no list (it answers 500); 2 orchestrators of its last list stay in use: see what the webhook does, or correct -orchWebhookUrl',
  'orchestrators-full': `1 of 2 orchestrators has no room for another session (${A}): add orchestrators or transcoders, or raise their -maxSessions`,
  'orchestrators-refuse': `the only orchestrator makes no offer that can be used: ${A} (it tells no price): see their logs, or add other orchestrators`,
  'orchestrators-blocked': `the only orchestrator is on -orchBlocklist (${A}): take them off -orchBlocklist, or add other orchestrators`,
  'orchestrators-busy': `every orchestrator of this stream is still at work on earlier segments (${A}): use fewer or smaller profiles, or add orchestrators`,
  'no-orchestrators':
    'no orchestrator is active on chain with an address that can be called: name orchestrators with -orchAddr',
  'streams-full':
    '-maxSessions allows 10 streams, and there are as many, so further ones are refused: raise -maxSessions',
  'auth-webhook-failing':
    'the webhook https://hook.example of -authWebhookUrl does not decide on new streams (no answer within 10 s), so they are refused: see what the webhook does, or correct -authWebhookUrl',
  'recording-failing':
    'the store of recordings s3+https://store.example does not take segments (no answer in 30 s); 12 segments of one stream wait in memory, and live playback goes on: see whether that store is up and what its keys may do; the recording catches up by itself',
  'recording-lost':
    '3 segments of "movie" are in no recording, since s3+https://store.example was away for longer than segments can wait: see why that store was away, or was too slow for the streams that are recorded',
  'object-store-failing':
    'the object store s3://eu/bucket takes no segments (s3://eu/bucket answers 403: AccessDenied), so players get them from this node: see what the store does, or correct -objectStore',
  'verifier-failing':
    'the verifier https://verifier.example of -verifierUrl does not judge results (it answers 500), so they are served without its verdict: see what the verifier does, or correct -verifierUrl',
  'gateway-webhook-failing':
    'the webhook https://hook.example of -authWebhookUrl does not decide on gateways (it answers 502), so they get no offers: see what the webhook does, or correct -authWebhookUrl',
  'account-not-registered': `the account ${ACCOUNT}, which tickets are to pay, is not a registered orchestrator but the reward caller of ${OTHER}, so every payment will be refused: give -ethOrchAddr ${OTHER}`,
  'recipient-inactive': `payments of gateway ${OTHER} are refused, since ${ACCOUNT} is not an active orchestrator (inactive in round 7): give -ethOrchAddr, the active orchestrator that tickets pay, or get it into the active set with more stake: livepeer orchestrator bond AMOUNT`,
  'sender-underfunded': `gateway ${OTHER} has too little deposit or reserve (insufficient sender reserve): only that gateway can help, with more funds: livepeer gateway fund`,
  'sender-unlocking': `gateway ${OTHER} may soon withdraw its funds (set to unlock soon): only that gateway can help: it must cancel the withdrawal with livepeer gateway cancel-unlock`,
  'sender-unknown': `the funds of gateway ${OTHER} cannot be read from the chain (no answer): check the endpoints of -ethUrl`,
  'payment-refused': `payments of gateway ${OTHER} are refused, since they do not cover the segment (Insufficient balance): nothing here, unless it lasts and concerns many gateways`,
  'service-uri-differs': `gateways find ${ACCOUNT} at ${B}, its address on chain, and not at -serviceAddr ${A}: nothing where a balancer has the address on chain; otherwise correct -serviceAddr, or register it with: livepeer orchestrator set --uri ${A}`,
  'transcoder-refused':
    'the transcoder at 10.0.0.9:4444 has another -orchSecret than this orchestrator: give both the same -orchSecret, if the transcoder is yours',
  'not-registered': `no orchestrator of -orchAddr takes this transcoder (${A}, ${B}): connection refused: start the orchestrator, or correct -orchAddr; the transcoder retries`,
  'orchestrator-refused':
    'calls from 10.0.0.9 are refused (wrong secret): give both the same -redeemerSecret, if the orchestrator is yours',
  'redeemer-away':
    'the redeemer r:8935 does not answer (connection refused): start the redeemer, or correct -redeemerAddr',
  'redeemer-refuses':
    'r:8935, named in -redeemerAddr, is not a redeemer; it may be an orchestrator (unimplemented): give the address of a node with -redeemer, with its port',
}

for (const [code, facts] of Object.entries(CAUSE_EXAMPLES)) {
  test(`${code} says what is wrong, with its numbers, and what to change`, () => {
    assert.equal(sentenceOf({ code, facts } as Cause), SENTENCES[code as CauseCode])
  })
}

test('every cause has a title of its own, by which the log can be searched', () => {
  const titles = Object.values(CAUSES).map(({ title }) => title)
  assert.equal(new Set(titles).size, titles.length)
})

test('each role can meet its own causes only', () => {
  const codes = (role: string) => codesOf(new Set([role]))
  assert.ok(codes('gateway').includes('no-deposit'))
  assert.ok(!codes('orchestrator').includes('no-deposit'))
  assert.ok(codes('redeemer').includes('no-ether'))
  assert.deepEqual(codes('transcoder'), ['not-registered'])
})
