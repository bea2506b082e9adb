import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeAuthToken } from '../../src/domain/auth-token.ts'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import { presetNamed } from '../../src/domain/rendition.ts'
import type { AuthToken, SegmentData } from '../../src/domain/segment.ts'
import { requestHash, segmentHash } from '../../src/domain/signed-hashes.ts'
import { expectedValue, type Payment } from '../../src/domain/ticket.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { decodeTranscodeResult } from '../../src/io/rpc/convert-result.ts'
import { formatPaymentHeader, formatSegmentHeader } from '../../src/io/rpc/headers.ts'
import { OrchestratorEndpoint } from '../../src/io/rpc/orchestrator-endpoint.ts'
import { Endpoint } from '../../src/io/rpc/server.ts'
import { Store } from '../../src/io/store/store.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { type Address, addressOfKey, keccak256, signHash } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Orchestrator } from '../../src/services/orchestrator/orchestrator.ts'
import { PriceBook } from '../../src/services/orchestrator/price-book.ts'
import { SecretRing } from '../../src/services/orchestrator/secret-ring.ts'
import { TicketRecipient } from '../../src/services/orchestrator/ticket-recipient.ts'
import { Activity } from '../../src/services/protocol/activity.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { FakeChain } from '../fakes/chain.ts'
import { openRaw, rawRequest, TRANSPORTS, type Transport } from '../fakes/endpoint.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakePayer } from '../fakes/payer.ts'
import { eventually } from '../tools/until.ts'

/*
 * What a peer may do wrong at an orchestrator's port, with everything behind it except chain and engine: the answer it
 * gets, and its credit and tickets afterwards.
 */

const ETHER = 10n ** 18n
const RECIPIENT: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const NODE_KEY = keccak256(new TextEncoder().encode('node'))
const AUTH_KEY = new TextEncoder().encode('key')
/** A wei below the face value: every ticket wins. */
const TICKET_EV = 350_000n * 10n ** 11n - 1n
const PIXELS = 1_000n
const MAX_SEGMENT_BYTES = 100_000
const STALL_MS = 200
const SOURCE = Buffer.from('a segment')

/** The parts of a gateway's request, to be corrupted. */
interface Attempt {
  readonly segment: Omit<SegmentData, 'sig'>
  readonly payment: Payment
  readonly body: Uint8Array
  readonly token: AuthToken
  /** Replaces the request headers. */
  readonly headers: Record<string, string>
}

interface World {
  readonly chain: FakeChain
  readonly gateway: FakePayer
  /** The orchestrator's records of the gateway: wei credited to a session, winning tickets. */
  facts(sessionId: string): Promise<{ credit: Rational; winners: number }>
  /** A segment with a payment of one ticket, in its own session. */
  attempt(): Promise<Attempt>
  headersOf(attempt: Attempt): Record<string, string>
  post(attempt: Attempt, transport: Transport): Promise<[status: number, text: string]>
  readonly port: number
}

async function world(t: TestContext): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-bad-input-'))
  const chain = new FakeChain()
  const clock = new ManualClock()
  const gateway = new FakePayer('gateway')
  chain.fund(gateway.address, 1_000n * ETHER, 1_000n * ETHER)
  chain.mine()
  const dice = seededDice('bad input')
  const store = new Store({ location: join(folder, 'node.sqlite3') }, { dice })
  await store.open()
  const needs = { chain, watch: chain, clock, log: silentLog }
  const rounds = new Rounds(needs)
  const senders = new Senders({ claimant: RECIPIENT }, { ...needs, rounds })
  const activity = new Activity({ recipient: RECIPIENT }, { ...needs, rounds })
  const secret = new SecretRing('ticket', { secrets: store, clock, log: silentLog })
  const recipient = new TicketRecipient(
    {
      ...{ recipient: RECIPIENT, ticketEv: TICKET_EV, redeemGas: 350_000n },
      ...{ maxFaceValue: 0n, autoAdjustPrice: false },
    },
    {
      ...{ secret, nonces: store, balances: store.sessions, prices: store.sessions, records: store },
      ...{ senders, rounds, activity, gas: chain, clock, dice, log: silentLog },
      priceBook: new PriceBook(() => Rational.one),
      winners: { adopt: () => {} },
      events: eventsTo(),
    },
  )
  const orchestrator = new Orchestrator(
    {
      ...{ serviceUri: 'https://127.0.0.1:8935', nodes: [], offchain: false, recipient: RECIPIENT },
      ...{ maxSessions: 1_000, capabilities: defaultCapabilities('1.0.0'), version: '1.0.0' },
    },
    {
      signer: { address: addressOfKey(NODE_KEY), sign: async (hash) => signHash(NODE_KEY, hash) },
      recipient,
      transcoder: {
        transcode: async () => ({
          decodedPixels: PIXELS,
          renditions: [{ bytes: new Uint8Array(100), pixels: PIXELS, perceptualHash: null }],
        }),
      },
      results: new MemoryObjects(),
      authKeys: { keys: [AUTH_KEY] },
      ...{ clock, dice, log: silentLog },
      events: eventsTo(),
    },
  )
  const endpoint = new Endpoint(
    {
      ...{ name: 'service endpoint', host: '127.0.0.1', port: 0, drainMs: 100 },
      tls: { hostname: 'localhost', directory: folder },
    },
    {
      routes: [
        new OrchestratorEndpoint(
          { maxSegmentBytes: MAX_SEGMENT_BYTES, bodyStallMs: STALL_MS },
          { api: orchestrator, fetchSource: null, log: silentLog },
        ),
      ],
      log: silentLog,
    },
  )
  const supervisor = new Supervisor()
  for (const service of [rounds, senders, activity, secret, recipient, orchestrator, endpoint]) {
    await supervisor.start(service)
  }
  t.after(async () => {
    await supervisor.stop()
    await store.close()
    rmSync(folder, { recursive: true })
  })

  const signerKey = keccak256(new TextEncoder().encode('gateway'))
  const headersOf = ({ segment, payment, token, headers }: Attempt) => ({
    'livepeer-segment': formatSegmentHeader({
      ...segment,
      authToken: token,
      sig: signHash(signerKey, segmentHash(segment)),
    }),
    'livepeer-payment': formatPaymentHeader(payment),
    ...headers,
  })
  return {
    chain,
    gateway,
    facts: async (sessionId) => ({
      credit: await store.sessions.balance(gateway.address, sessionId),
      winners: (await store.countTickets()).reduce((sum, { count }) => sum + count, 0),
    }),
    attempt: async () => {
      const sig = signHash(signerKey, requestHash(gateway.address))
      const request = { address: gateway.address, sig, capabilities: null, ignoreCapacityCheck: false }
      const { authToken, ticketParams, priceInfo } = await orchestrator.info(request)
      const segment: Attempt['segment'] = {
        ...{ manifestId: 'movie', seq: 1n, hash: keccak256(SOURCE), durationMs: 2_000 },
        profiles: [{ ...presetNamed('P144p30fps16x9')!, format: 'mpegts' }],
        ...{ capabilities: null, authToken: null, calcPerceptualHash: false },
        ...{ storage: [], clip: null, forceSessionReinit: false },
      }
      const payment = gateway.pay({ ticketParams: ticketParams!, priceInfo: priceInfo! }, 1)
      return { segment, payment, body: SOURCE, token: authToken!, headers: {} }
    },
    headersOf,
    post: async (attempt, transport) => {
      const headers = headersOf(attempt)
      const answer = await rawRequest(endpoint.port, transport, {
        ...{ method: 'POST', path: '/segment', headers, body: attempt.body },
      })
      if (answer.status !== 200) return [answer.status, answer.body.toString()]
      const { outcome } = decodeTranscodeResult(answer.body)
      return [200, outcome.kind === 'error' ? outcome.text : outcome.kind]
    },
    get port() {
      return endpoint.port
    },
  }
}

/** Adds a ticket of the same sender, valid unless `sig` says otherwise. */
function more(payment: Payment, { gateway }: World, sig?: Uint8Array): Payment {
  const senderNonce = payment.tickets.at(-1)!.senderNonce + 1
  const ticket = { senderNonce, sig: sig ?? gateway.sign(payment.ticketParams!, senderNonce) }
  return { ...payment, tickets: [...payment.tickets, ticket] }
}

const NOBODYS = new Uint8Array(65)

type Change = Partial<Omit<Attempt, 'headers'>> & { headers?: Record<string, string> }

const CASES: readonly {
  claim: string
  /** What is changed of a valid request. */
  spoil: (attempt: Attempt, world: World, transport: Transport) => Promise<Change> | Change
  says: [status: number, text: string | ((attempt: Attempt) => string)]
  /** Tickets of the payment that are credited, and that won and are kept. */
  takes?: { credited: number; won: number }
}[] = [
  {
    claim: 'a payment that is not base64',
    spoil: () => ({ headers: { 'livepeer-payment': '?' } }),
    says: [402, 'base64 decode error: illegal base64 data'],
  },
  {
    claim: 'a segment header that is not base64',
    spoil: () => ({ headers: { 'livepeer-segment': '?' } }),
    says: [403, 'ErrorSegEncoding'],
  },
  {
    claim: 'a segment that its payer did not sign',
    spoil: ({ segment, token }) => ({
      headers: { 'livepeer-segment': formatSegmentHeader({ ...segment, authToken: token, sig: NOBODYS }) },
    }),
    says: [403, 'ErrSegSig'],
  },
  {
    claim: 'a job beyond what was offered',
    spoil: ({ segment }) => {
      const capabilities = { ...defaultCapabilities(''), bitstring: [1n << 60n] }
      return { segment: { ...segment, capabilities } }
    },
    says: [403, 'incompatible capabilities'],
  },
  {
    claim: 'a token of another node',
    spoil: (a) => ({ token: makeAuthToken(NOBODYS, a.token.sessionId, a.token.expiration) }),
    says: [403, 'invalid auth token'],
  },
  {
    claim: 'an expired token',
    spoil: (a) => ({ token: makeAuthToken(AUTH_KEY, a.token.sessionId, 1n) }),
    says: [403, 'expired auth token'],
  },
  {
    claim: 'a ticket that its sender did not sign',
    spoil: (a) => ({ payment: { ...a.payment, tickets: [{ senderNonce: 1, sig: NOBODYS }] } }),
    says: [400, 'invalid ticket signature'],
  },
  {
    claim: 'a good ticket before and after one without a valid signature',
    spoil: (a, w) => ({ payment: more(more(a.payment, w, NOBODYS), w) }),
    says: [400, 'invalid ticket signature'],
    takes: { credited: 0, won: 2 },
  },
  {
    claim: 'a payment that was sent before',
    spoil: async (a, w, transport) => {
      await w.post(a, transport)
      await assertCharged(w, a.token.sessionId, worthOf(a.payment, 1))
      return {}
    },
    says: [400, (a) => `invalid ticket senderNonce: already seen sender=${a.payment.sender} nonce=1`],
  },
  {
    claim: 'expired params',
    spoil: (_, { chain }) => {
      for (let i = 0; i < 40; i++) chain.mine()
      return {}
    },
    says: [400, 'TicketParams expired'],
    takes: { credited: 0, won: 1 },
  },
  {
    claim: 'a price that was not offered',
    spoil: (a) => ({ payment: { ...a.payment, expectedPrice: { pricePerUnit: 2n, pixelsPerUnit: 1n } } }),
    says: [400, 'invalid recipientRand for ticket recipientRandHash'],
  },
  {
    claim: 'a session without credit and without a ticket',
    spoil: (a) => ({ payment: { ...a.payment, ticketParams: null, expirationParams: null, tickets: [] } }),
    says: [400, 'Insufficient balance'],
  },
  {
    claim: 'bytes other than announced',
    spoil: () => ({ body: Buffer.from('another') }),
    says: [403, 'Forbidden'],
    takes: { credited: 1, won: 1 },
  },
  {
    claim: 'a body above the limit',
    spoil: () => ({ body: new Uint8Array(MAX_SEGMENT_BYTES + 1) }),
    says: [500, 'Internal Server Error'],
    takes: { credited: 1, won: 1 },
  },
]

const ways = [
  ['HTTP/2', TRANSPORTS['HTTP/2']],
  ['HTTP/1.1', TRANSPORTS['HTTP/1.1 without ALPN']],
] as const

for (const [name, transport] of ways) {
  test(`over ${name} every fault has its status and text and takes what it should, and the next segment succeeds`, async (t) => {
    const w = await world(t)
    for (const { claim, spoil, says, takes = { credited: 0, won: 0 } } of CASES) {
      await t.test(claim, async () => {
        const good = await w.attempt()
        const { sessionId } = good.token
        const attempt: Attempt = { ...good, ...(await spoil(good, w, transport)) }
        const before = await w.facts(sessionId)
        const [status, text] = says
        const said = typeof text === 'string' ? text : text(attempt)
        assert.deepEqual(await w.post(attempt, transport), [status, `${said}\n`])
        await assertTook(w, attempt, before, takes)
        await assertGoesOn(w, sessionId, transport)
      })
    }
  })
}

/** Sends the start of a body. */
async function begin(w: World, attempt: Attempt) {
  const socket = await openRaw(w.port, TRANSPORTS['HTTP/1.1 without ALPN'])
  socket.on('error', () => {})
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
  })
  const lines = Object.entries(w.headersOf(attempt)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`POST /segment HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n${lines.join('')}\r\n`)
  socket.write(Buffer.alloc(10_000))
  return { socket, heard: () => heard }
}

for (const leaves of [true, false]) {
  const claim = leaves ? 'breaks off' : 'falls silent'
  test(`a gateway that ${claim} within a body gets no answer, its payment is kept, and the next segment succeeds`, async (t) => {
    const w = await world(t)
    const attempt = await w.attempt()
    const { sessionId } = attempt.token
    const before = await w.facts(sessionId)
    const { socket, heard } = await begin(w, attempt)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await eventually('its payment', async () => (await w.facts(sessionId)).winners === 1)
    if (leaves) socket.destroy()
    await closed
    assert.equal(heard(), '')
    await assertTook(w, attempt, before, { credited: 1, won: 1 })
    await assertGoesOn(w, sessionId, TRANSPORTS['HTTP/2'])
  })
}

async function assertTook(
  w: World,
  { token, payment }: Attempt,
  before: Awaited<ReturnType<World['facts']>>,
  takes: { credited: number; won: number },
): Promise<void> {
  const after = await w.facts(token.sessionId)
  assert.equal(after.winners - before.winners, takes.won)
  assert.deepEqual(after.credit.sub(before.credit), worthOf(payment, takes.credited))
}

/** Checks that a valid segment in the same session succeeds, for its price. */
async function assertGoesOn(w: World, sessionId: string, transport: Transport): Promise<void> {
  const before = await w.facts(sessionId)
  const other = await w.attempt()
  const good = { ...other, token: makeAuthToken(AUTH_KEY, sessionId, other.token.expiration) }
  assert.deepEqual(await w.post(good, transport), [200, 'data'])
  await assertCharged(w, sessionId, before.credit.add(worthOf(good.payment, 1)))
  assert.equal((await w.facts(sessionId)).winners, before.winners + 1)
}

/** Checks that a segment’s pixels are charged, which may happen shortly after the answer. */
async function assertCharged(w: World, sessionId: string, credit: Rational): Promise<void> {
  const left = credit.sub(Rational.of(PIXELS))
  await eventually('the charge', async () => (await w.facts(sessionId)).credit.cmp(left) === 0)
}

function worthOf({ ticketParams }: Payment, tickets: number): Rational {
  if (!ticketParams) return Rational.zero
  return expectedValue(ticketParams.faceValue, ticketParams.winProb).mul(Rational.of(BigInt(tickets)))
}
