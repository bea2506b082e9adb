import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { devnetKey, devnetKeyBytes } from '../../devnet/artifacts.ts'
import { ticketFigures } from '../../devnet/figures.ts'
import { Network, type NetworkOptions } from '../../devnet/network.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { RedeemerClient } from '../../src/io/rpc/redeemer-client.ts'
import { type Hex, parseHex } from '../../src/lib/bytes.ts'
import { addressOfKey, signHash } from '../../src/lib/crypto.ts'
import type { GatewayStatus, OrchestratorStatus, RedeemerStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { laggingEndpoint } from './lagging-endpoint.ts'
import { settleRewards, settleTickets } from './settle.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Faults that random kills and cuts do not cause, with real processes, chain and contracts. */

const STREAMS = 4
const SEGMENTS = 16
const ROUND_LENGTH = 90n
const BEHIND = 6
const ETHER = 10n ** 18n
const REORGANISABLE = 25

async function prepare(t: TestContext, options: NetworkOptions): Promise<Network> {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-outages-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  return Network.prepare({
    roundLength: ROUND_LENGTH,
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
    gatewayFlags: ['-transcodingOptions', profiles],
    logFolder: process.env.CHAOS_LOGS ?? join(folder, 'logs'),
    ...options,
  })
}

/** Pushes this many segments, all of which must be served; returns the number of accepted tickets. */
async function stream(network: Network): Promise<number> {
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS)
  await until(async () => (load.pushed.length >= SEGMENTS ? true : null), 'the segments')
  await load.stop()
  assert.deepEqual(
    load.pushed.filter(({ status }) => status !== 200),
    [],
  )
  const { ticketsAccepted } = await network.gateway.status<GatewayStatus>()
  assert.ok(ticketsAccepted >= SEGMENTS, `${ticketsAccepted} tickets for ${load.served} segments`)
  // A gateway that had no answer in time does not know that its tickets were accepted.
  const { won } = await ticketFigures(network)
  assert.ok(won >= ticketsAccepted, `${won} tickets won of ${ticketsAccepted} that were accepted`)
  return won
}

/** Checks that all accepted tickets are redeemed, once and in full, and reward is called in every round. */
async function checkAllIsWell(t: TestContext, network: Network, accepted: number): Promise<void> {
  const tickets = await settleTickets(network)
  const { distinct } = await network.protocol.redemptions()
  const { rewards, rounds } = await settleRewards(network)
  const { lost, pending, redeemed, refused, won } = tickets
  t.diagnostic(JSON.stringify({ accepted, won, redeemed, pending, refused, lost, rounds, rewards }))
  assert.deepEqual(
    { won, redeemed, distinct, pending, refused, lost },
    { won: accepted, redeemed: accepted, distinct: accepted, pending: 0, refused: 0, lost: 0 },
  )
  assert.equal(tickets.paid, tickets.faceValue)
  assert.ok(rounds >= 3)
  assert.equal(rewards, rounds)
}

test(`with an RPC endpoint ${BEHIND} blocks behind the chain every ticket is redeemed and reward called in every round`, async (t) => {
  let url = ''
  await using endpoint = await laggingEndpoint(() => url, BEHIND)
  await using network = await prepare(t, {
    setup: 'service-node',
    redeemerFlags: ['-ethUrl', endpoint.url],
  })
  url = network.anvil.url
  await network.start()
  const accepted = await stream(network)
  await checkAllIsWell(t, network, accepted)
  assert.ok((endpoint.asked.get('eth_sendRawTransaction') ?? 0) > 0, 'redeemed through that endpoint')
})

test('a redeemer that is unreachable until the last third of the tickets’ last round: streams are served and paid, and every ticket is redeemed', async (t) => {
  await using network = await prepare(t, { setup: 'redeemer', cuttable: true })
  network.redeemerLink!.cut()
  await network.start()
  const accepted = await stream(network)
  await network.protocol.nextRound()
  await network.protocol.mineTo((await network.protocol.roundStart()) + (ROUND_LENGTH * 2n) / 3n)
  const { tickets } = await network.orchestrator.status<OrchestratorStatus>()
  assert.deepEqual(
    tickets.groups.map(({ state, reason, count }) => ({ state, reason, count })),
    [{ state: 'open', reason: 'redeemer-away', count: accepted }],
  )
  network.redeemerLink!.restore()
  await checkAllIsWell(t, network, accepted)
})

test('an invalid ticket at the head of the queue, a sender funded late, and a reorganisation that undoes redemptions cost no ticket', async (t) => {
  await using network = await prepare(t, { setup: 'redeemer' })
  await network.start()
  const { anvil, protocol } = network
  const [redeemer] = network.of('redeemer')
  const tickets = async () => (await redeemer!.process.status<RedeemerStatus>()).tickets
  const groups = async (state: string) =>
    (await tickets()).groups.flatMap(({ state: is, reason, count }) =>
      is === state ? { reason, count } : [],
    )

  const round = await protocol.read('RoundsManager', 'lastInitializedRound')
  const recipient = network.accounts.orchestrator
  // From the previous round, so it comes first; its sender has funds, and only the chain can tell that its block hash
  // is wrong.
  const poison = ticketOf({ key: 'gateway', recipient, round: round - 1n, blockHash: `0x${'5a'.repeat(32)}` })
  const blockHash = await protocol.read<Hex>('RoundsManager', 'blockHashForRound', [round])
  const unfunded = [1, 2, 3].map((nonce) =>
    ticketOf({ key: 'late payer', recipient, round, blockHash, nonce }),
  )
  const client = new RedeemerClient({ url: `https://${redeemer!.address}`, secret: '', own: null })
  t.after(() => client.reset())
  // A redeemer accepts what a sender's funds cover, and learns of changes from the chain.
  const unfundedAt = await protocol.blockNumber()
  await protocol.fundSender(devnetKey('late payer'), ETHER, ETHER)
  for (const ticket of [poison, ...unfunded]) {
    await until(
      () =>
        client.queue(ticket, AbortSignal.timeout(10_000)).then(
          () => true,
          () => null,
        ),
      'the ticket taken',
    )
  }
  await anvil.request('anvil_reorg', [Number((await protocol.blockNumber()) - unfundedAt), []])

  const accepted = await stream(network)
  await protocol.mineTo((await protocol.roundStart()) + (ROUND_LENGTH * 2n) / 3n)
  const redeemed = async (count: number, what: string) =>
    until(async () => ((await protocol.redemptions()).redeemed === count ? true : null), what)
  await redeemed(accepted, 'the good tickets redeemed')
  // The redeemer learns what is wrong with each when it next checks it.
  const wrong = new Set([
    { reason: 'chain-refuses', count: 1 },
    { reason: 'underfunded', count: unfunded.length },
  ])
  await until(
    async () => (isDeepStrictEqual(new Set(await groups('open')), wrong) ? true : null),
    'the others open, each for its own reason',
  )

  const before = await protocol.blockNumber()
  await protocol.fundSender(devnetKey('late payer'), ETHER, ETHER)
  const funded = await protocol.blockNumber()
  const all = accepted + unfunded.length
  await redeemed(all, 'the tickets of the funded sender redeemed')
  await until(async () => ((await tickets()).redeemed === all ? true : null), 'the redeemer knows')

  // No block may come in between, in which the same transactions would be mined again.
  await anvil.mineOnDemand()
  const depth = Number((await protocol.blockNumber()) - funded)
  assert.ok(depth > 0 && depth < REORGANISABLE && funded > before)
  await anvil.request('anvil_reorg', [depth, []])
  assert.equal((await protocol.redemptions()).redeemed, accepted, 'the redemptions are undone')
  await anvil.mineEvery(1)
  await redeemed(all, 'redeemed again')

  await settleTickets(network)
  const { distinct, faceValue, paid } = await protocol.redemptions()
  const { rewards, rounds } = await settleRewards(network)
  const { open, refused, submitted, won } = await tickets()
  t.diagnostic(JSON.stringify({ accepted, won, redeemed: distinct, refused, rounds, rewards, depth }))
  assert.deepEqual({ won, open, submitted, refused }, { won: all + 1, open: 0, submitted: 0, refused: 1 })
  assert.deepEqual(await groups('refused'), [{ reason: 'expired', count: 1 }])
  assert.equal(distinct, all)
  assert.equal(paid, faceValue)
  assert.equal(rewards, rounds)
})

/** A winning ticket that can be redeemed at once as far as its params are concerned. */
function ticketOf(how: {
  key: string
  recipient: WinningTicket['recipient']
  round: bigint
  blockHash: Hex
  nonce?: number
}): WinningTicket {
  const key = devnetKeyBytes(how.key)
  const recipientRand = 7n
  const ticket = {
    recipient: how.recipient,
    sender: addressOfKey(key),
    faceValue: ETHER / 100n,
    winProb: MAX_WIN_PROB,
    senderNonce: how.nonce ?? 1,
    recipientRandHash: recipientRandHash(recipientRand),
    expirationParams: { creationRound: how.round, creationRoundBlockHash: parseHex(how.blockHash) },
    paramsExpirationBlock: 0n,
    recipientRand,
  }
  return { ...ticket, sig: signHash(key, ticketHash(ticket)) }
}
