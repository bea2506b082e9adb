import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { TicketParams, WinningTicket } from '../../src/domain/ticket.ts'
import { RedeemerClient } from '../../src/io/rpc/redeemer-client.ts'
import { RedeemerEndpoint, type RedeemerLimits } from '../../src/io/rpc/redeemer-endpoint.ts'
import { Endpoint } from '../../src/io/rpc/server.ts'
import { Store } from '../../src/io/store/store.ts'
import { intToBytes } from '../../src/lib/bytes.ts'
import { settle, systemClock } from '../../src/lib/clock.ts'
import { type Address, addressBytes } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { Redeemer } from '../../src/services/redemption/redeemer.ts'
import { RedeemerDesk } from '../../src/services/redemption/redeemer-desk.ts'
import { FakeChain } from '../fakes/chain.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakePayer } from '../fakes/payer.ts'
import { grpcFrame } from '../net/grpc.ts'
import { eventually } from '../tools/until.ts'

/** Hostile peers of a redeemer, over real sockets, with its database on disk. */

const RECIPIENT = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
const ETHER = 10n ** 18n
const REDEEM_GAS = 1_200_000n
const MAX_TICKET_BYTES = 16 * 1024

async function victim(t: TestContext, options: { secret?: string; limits?: RedeemerLimits } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-hostile-redeemer-'))
  const chain = new FakeChain({ roundLength: 1_000n })
  const gateway = new FakePayer('gateway')
  chain.fund(gateway.address, 10n * ETHER)
  chain.mine()
  const store = new Store({ location: join(folder, 'node.sqlite3'), sqliteSync: 'thread' })
  await store.open()
  const needs = { chain, watch: chain, clock: systemClock, log: silentLog }
  const events = eventsTo()
  const rounds = new Rounds(needs)
  const senders = new Senders({ claimant: RECIPIENT }, { ...needs, rounds })
  const redeemer = new Redeemer({
    ...needs,
    tickets: store,
    nonces: store,
    rounds,
    senders,
    gas: chain,
    events,
  })
  const desk = new RedeemerDesk(
    { recipient: RECIPIENT, redeemGas: REDEEM_GAS },
    { ...needs, redeemer, senders, rounds, gas: chain, events },
  )
  const { limits, secret = '' } = options
  const routes = new RedeemerEndpoint({ secret, ...(limits && { limits }) }, { api: desk, log: silentLog })
  const endpoint = new Endpoint(
    {
      ...{ name: 'redeemer', host: '127.0.0.1', port: 0, tls: { hostname: 'localhost', directory: folder } },
      ...{ maxStreams: 20_000, maxMessageBytes: MAX_TICKET_BYTES, drainMs: 200 },
    },
    { routes: [routes], log: silentLog },
  )
  const supervisor = new Supervisor()
  for (const service of [rounds, senders, redeemer, desk, endpoint]) await supervisor.start(service)
  t.after(async () => {
    await supervisor.stop()
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const url = `https://127.0.0.1:${endpoint.port}`
  return {
    ...{ chain, gateway, store, rounds, senders, redeemer, desk, url },
    /** Number of tickets on disk. */
    kept: async () => (await store.countTickets()).reduce((sum, { count }) => sum + count, 0),
    client: (shown = secret) => {
      const client = new RedeemerClient({ url, secret: shown, own: null })
      t.after(() => client.reset())
      return client
    },
    async session(): Promise<ClientHttp2Session> {
      const session = connect(url, { rejectUnauthorized: false })
      session.on('error', () => {})
      t.after(() => session.destroy())
      await new Promise<void>((resolve) => session.once('remoteSettings', () => resolve()))
      return session
    },
    win(fields: Partial<TicketParams> & { by?: FakePayer; nonce?: number } = {}): WinningTicket {
      const { by = gateway, nonce = 1, ...rest } = fields
      return by.winning({ recipient: RECIPIENT, expirationParams: rounds.expirationParams, ...rest }, nonce)
    },
  }
}

const never = () => new AbortController().signal

/** Opens a bare call and records its outcome. */
function call(session: ClientHttp2Session, method: string, headers: Record<string, string> = {}) {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/net.TicketRedeemer/${method}`,
    ...{ 'content-type': 'application/grpc', te: 'trailers', ...headers },
  })
  const seen = { status: null as string | null, bytes: 0, isOver: false }
  stream.on('error', () => {})
  const note = (fields: Record<string, unknown>) => {
    if (fields['grpc-status'] !== undefined) seen.status = String(fields['grpc-status'])
  }
  stream.on('response', note).on('trailers', note)
  stream.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length
  })
  stream.on('close', () => {
    seen.isOver = true
  })
  return { stream, seen }
}

/** A reported float, as a frame. */
function floatFrame(amount: bigint): Buffer {
  const bytes = intToBytes(amount)
  return grpcFrame(bytes.length === 0 ? bytes : Buffer.concat([Buffer.of(0x0a, bytes.length), bytes]))
}

/** A request for a sender's float. */
function question(sender: Address): Buffer {
  return grpcFrame(Buffer.concat([Buffer.of(0x0a, 20), addressBytes(sender)]))
}

test('junk is answered and never stored, and a valid ticket among it is', async (t) => {
  const v = await victim(t)
  // Only a confirmed clock calls a ticket expired.
  while (v.rounds.confirmedClock === null) {
    v.chain.mine()
    await settle()
  }
  const client = v.client()
  const good = v.win()
  const dice = seededDice('junk')
  const stranger = new FakePayer('stranger')
  const junk: WinningTicket[] = Array.from({ length: 40 }, (_, nonce) => [
    { ...good, sig: dice.bytes(65) },
    { ...good, sig: dice.bytes(3) },
    { ...v.win({ nonce }), sender: stranger.address },
    { ...v.win({ nonce }), faceValue: 10n ** 30n },
    { ...v.win({ nonce }), recipientRand: 8n },
    v.win({ nonce, winProb: 1n }),
    v.win({ nonce, recipient: stranger.address }),
    v.win({ nonce, faceValue: 0n }),
    v.win({ nonce, expirationParams: { creationRound: 1n, creationRoundBlockHash: new Uint8Array(32) } }),
  ]).flat()
  const outcomes = await Promise.allSettled([
    ...junk.map((ticket) => client.queue(ticket, never())),
    client.queue(good, never()),
  ])
  assert.deepEqual(
    outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : [])),
    [junk.length],
  )
  const session = await v.session()
  const noise = Array.from({ length: 200 }, () => {
    const { seen, stream } = call(session, 'QueueTicket')
    stream.end(dice.fraction() < 0.5 ? grpcFrame(dice.bytes(200)) : Buffer.from(dice.bytes(200)))
    return seen
  })
  await eventually('all noise is answered', () => noise.every(({ isOver }) => isOver))
  assert.ok(noise.every(({ status }) => status !== '0'))
  assert.equal(await v.kept(), 1)
})

test('a sender has no more open tickets than its funds cover, through any number of peers', async (t) => {
  const v = await victim(t)
  const clients = Array.from({ length: 5 }, () => v.client())
  const tickets = Array.from({ length: 50 }, (_, nonce) => v.win({ nonce }))
  const outcomes = await Promise.allSettled(
    tickets.map((ticket, i) => clients[i % 5]!.queue(ticket, never())),
  )
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  assert.deepEqual([await v.kept(), v.redeemer.openTickets, refused.length], [10, 10, 40])
  for (const { code, message } of refused) {
    assert.equal(code, 'unable', 'it is not the ticket’s fault: peers retry')
    assert.match(message, /has 10 open tickets of 10000000000000000000 wei already, and funds for 1000/)
  }
})

test('invented senders, and tickets of a wei each, fill neither disk nor memory', async (t) => {
  const v = await victim(t)
  const client = v.client()
  const made = Array.from({ length: 300 }, (_, i) =>
    v.win({ by: new FakePayer(`made up ${i}`), faceValue: 1n }),
  )
  const outcomes = await Promise.allSettled(made.map((ticket) => client.queue(ticket, never())))
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.equal(await v.kept(), 0)
  const miser = new FakePayer('miser')
  // It can pay for two redemptions.
  v.chain.fund(miser.address, 2n * REDEEM_GAS * v.chain.gasPrice)
  v.chain.mine()
  const tiny = Array.from({ length: 100 }, (_, nonce) => v.win({ by: miser, faceValue: 1n, nonce }))
  await Promise.allSettled(tiny.map((ticket) => client.queue(ticket, never())))
  assert.equal(await v.kept(), 20)
})

test('a ticket handed in a hundred times counts once, even if its sender’s funds are used up', async (t) => {
  const v = await victim(t)
  const clients = [v.client(), v.client()]
  const ticket = v.win()
  await Promise.all(Array.from({ length: 100 }, (_, i) => clients[i % 2]!.queue(ticket, never())))
  assert.deepEqual(
    [await v.kept(), v.redeemer.openTickets, v.senders.pending(v.gateway.address)],
    [1, 1, ETHER],
  )
  for (let nonce = 2; nonce <= 10; nonce++) await clients[0]!.queue(v.win({ nonce }), never())
  await assert.rejects(clients[0]!.queue(v.win({ nonce: 11 }), never()), { code: 'unable' })
  await clients[1]!.queue(ticket, never())
  assert.equal(await v.kept(), 10)
})

test('secrets cannot be guessed faster than the rate limit, and a wrong one has no effect', async (t) => {
  const limits = {
    tickets: { callsPerSecond: 0.001, burst: 20 },
    floats: { callsPerSecond: 0.001, burst: 20, streams: 10 },
  }
  const v = await victim(t, { secret: 'swordfish', limits })
  const client = v.client('wrong')
  const outcomes = await Promise.allSettled(
    Array.from({ length: 30 }, (_, nonce) => client.queue(v.win({ nonce }), never())),
  )
  const codes = outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)
  assert.equal(codes.filter((code) => code === 'refused').length, 20)
  assert.equal(codes.filter((code) => code === 'unable').length, 10)
  assert.equal(await v.kept(), 0)
  const session = await v.session()
  const streams = Array.from({ length: 30 }, () =>
    call(session, 'MonitorMaxFloat', { 'livepeer-redeemer-secret': 'x' }),
  )
  // Without a message: the headers are enough.
  await eventually('all are refused', () => streams.every(({ seen }) => seen.isOver))
  assert.equal(streams.filter(({ seen }) => seen.status === '16').length, 20)
  assert.equal(streams.filter(({ seen }) => seen.status === '8').length, 10)
  assert.equal(v.desk.streams, 0)
})

test('float streams are limited per sender and host, and those without a request are ended', async (t) => {
  const limits = {
    tickets: { callsPerSecond: 500, burst: 5_000 },
    floats: { callsPerSecond: 500, burst: 40_000, streams: 1_500 },
    questionMs: 3_000,
  }
  const v = await victim(t, { limits })
  const session = await v.session()
  const silent = Array.from({ length: 200 }, () => call(session, 'MonitorMaxFloat'))
  for (const { stream } of silent.slice(0, 100)) stream.write(question(v.gateway.address).subarray(0, 7))
  await eventually('all that ask for nothing are ended', () => silent.every(({ seen }) => seen.isOver))
  assert.ok(silent.every(({ seen }) => seen.status === '4'))
  const open = (count: number, sender: Address) =>
    Array.from({ length: count }, () => {
      const { seen, stream } = call(session, 'MonitorMaxFloat')
      stream.end(question(sender))
      return seen
    })
  const ofOne = open(1_100, v.gateway.address)
  await eventually('each is told a float or refused', () =>
    ofOne.every(({ bytes, isOver }) => bytes > 0 || isOver),
  )
  assert.equal(ofOne.filter(({ status }) => status === '8').length, 100)
  const ofOthers = open(600, new FakePayer('other').address)
  await eventually('these too', () => ofOthers.every(({ bytes, isOver }) => bytes > 0 || isOver))
  assert.equal(ofOthers.filter(({ status }) => status === '8').length, 100)
  assert.equal(v.desk.streams, 1_500)
  session.destroy()
  await eventually('the redeemer forgets them', () => v.desk.streams === 0)
})

test('oversized messages are refused by their length, before they arrive', async (t) => {
  const v = await victim(t)
  const session = await v.session()
  const announced = Buffer.from([0, 0xff, 0xff, 0xff, 0xff])
  const calls = ['QueueTicket', 'MaxFloat', 'MonitorMaxFloat'].map((method) => call(session, method))
  for (const { stream } of calls) stream.write(announced)
  await eventually('all are refused', () => calls.every(({ seen }) => seen.status !== null))
  assert.deepEqual(
    calls.map(({ seen }) => seen.status),
    ['8', '8', '8'],
  )
  const pouring = call(session, 'MonitorMaxFloat')
  pour(pouring.stream)
  await eventually('it is ended', () => pouring.seen.isOver)
  const padded = call(session, 'MonitorMaxFloat')
  // An unknown field of a megabyte.
  padded.stream.end(
    grpcFrame(
      Buffer.concat([
        Buffer.from('7a', 'hex'),
        Buffer.from('80804000', 'hex').subarray(0, 3),
        Buffer.alloc(1 << 20),
      ]),
    ),
  )
  await eventually('it is refused', () => padded.seen.status === '8')
  await v.client().queue(v.win(), never())
})

test('a peer that reads nothing costs the redeemer one value, not a queue', async (t) => {
  const v = await victim(t)
  v.chain.fund(v.gateway.address, 0n, 100n * ETHER)
  v.chain.mine()
  const peer = spawn(process.execPath, ['-e', READER, v.url, question(v.gateway.address).toString('hex')])
  t.after(() => peer.kill('SIGKILL'))
  let told = ''
  peer.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  await eventually('it is told a float', () => told.length > 0)
  peer.kill('SIGSTOP')
  let changes = 0
  const leave = v.desk.listen(v.gateway.address, () => void changes++)
  while (changes < 500) {
    v.senders.addPending(v.gateway.address, ETHER * 10n)
    await settle()
    v.senders.addPending(v.gateway.address, ETHER * -10n)
    await settle()
  }
  leave()
  v.senders.addPending(v.gateway.address, ETHER * 20n)
  const last = floatFrame(await v.desk.maxFloat(v.gateway.address))
  peer.kill('SIGCONT')
  await eventually('it hears of the last one', () => told.includes(last.toString('hex')))
  assert.ok(told.length <= 2 * 6 * last.length, `${told.length / 2} bytes`)
})

/** Prints what it receives in hexadecimal, with a window for one float and part of the next. */
const READER = `
  const [url, question] = process.argv.slice(1)
  const settings = { initialWindowSize: 20 }
  const session = require('node:http2').connect(url, { rejectUnauthorized: false, settings })
  const stream = session.request({
    ':method': 'POST', ':path': '/net.TicketRedeemer/MonitorMaxFloat', 'content-type': 'application/grpc',
  })
  stream.on('data', (chunk) => process.stdout.write(chunk.toString('hex')))
  stream.end(Buffer.from(question, 'hex'))
`

/** Sends a message of unannounced length without end. */
function pour(stream: ClientHttp2Stream): void {
  stream.write(Buffer.from([0, 0, 0, 4, 0]))
  const timer = setInterval(() => {
    if (stream.destroyed || stream.closed) clearInterval(timer)
    else stream.write(Buffer.alloc(4_096))
  }, 1)
}
