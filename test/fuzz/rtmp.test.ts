import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { maxSourceBytes } from '../../src/domain/segment.ts'
import { MAX_BYTES_BEGUN, MAX_MESSAGE_BYTES } from '../../src/io/rtmp/chunks.ts'
import type { MediaHub } from '../../src/io/rtmp/media-hub.ts'
import { RtmpConnection } from '../../src/io/rtmp/rtmp-connection.ts'
import { RtmpError, type RtmpFault } from '../../src/io/rtmp/rtmp-error.ts'
import { type RtmpEvent, RtmpSession } from '../../src/io/rtmp/rtmp-session.ts'
import { type CutSegment, SegmentCutter } from '../../src/io/rtmp/segment-cutter.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Dice } from '../../src/lib/dice.ts'
import { NodeError } from '../../src/lib/errors.ts'
import { FakeStreams } from '../fakes/published-streams.ts'
import { quickDice } from '../fakes/quick-dice.ts'
import { RecordingLog } from '../fakes/recording-log.ts'
import { RtmpSocket } from '../fakes/rtmp-socket.ts'
import { plainHello, plainReply } from '../net/rtmp.ts'
import {
  type Conversation,
  conversations,
  forbidden,
  forbiddenWhilePublishing,
} from '../net/rtmp-conversations.ts'
import { RtmpMutator } from '../net/rtmp-mutations.ts'

/** Environment: how many connections, and the seed that repeats a run. */
const CONNECTIONS = Number(process.env.RTMP_CONNECTIONS ?? 100_000)
const SEED = process.env.RTMP_SEED ?? 'rtmp'
/** What the handshake may hold beside messages that have begun. */
const MAX_HELD = MAX_BYTES_BEGUN + 4_096
/** An answer for each command, however many there are, and that of the handshake. */
const MAX_SENT_PER_BYTE = 40
const HANDSHAKE_SENT = 3_073
/** Small frames fill packets of 188 bytes, and each segment has its tables. */
const MAX_CUT_PER_BYTE = 200
const MAX_DURATION_MS = 60_000
/** A segment may exceed it by a jump that a stream is allowed, and by the delay of a picture. */
const LONGEST_SEGMENT_MS = MAX_DURATION_MS + 15_000
const MAX_NAME = 1_024
/** How long the pieces are that a connection comes in, at most; one in ten comes byte by byte. */
const PIECES = [1, 7, 30, 100, 100, 300, 300, 1_000, 1_000, 100_000] as const
/** One connection in this many goes through a whole connection of the port. */
const WHOLE_ONE_IN = 40
/** One connection in this many is read a second time, in other pieces. */
const READ_TWICE_ONE_IN = 12
/** Heap that all connections together may leave behind once they are over. */
const MAX_LEFT_BYTES = 8_000_000
/** What a connection may take beside the bytes that it counts. */
const MAX_UNCOUNTED_BYTES = 16_384

// Refusals are counted by their codes: where they come from costs more than they do.
Error.stackTraceLimit = 0

const UNSIGNED = new Uint8Array(Buffer.concat([plainHello(), plainReply]))
const RANDOM = new Uint8Array(3072).fill(9)
/** How a connection ended: by itself, or with a reason. */
type End = RtmpFault | 'none'
/** How far a connection came; each includes those before it. */
const DEPTHS = ['handshake', 'open', 'connected', 'asked', 'media', 'segments'] as const
type Depth = (typeof DEPTHS)[number]

/** One client whose stream is cut, with everything that must hold of it at all times. */
class Client {
  sentBytes = 0
  tags = 0
  segments = 0
  cutBytes = 0
  receivedBytes = 0
  /** Of everything that it did and was told. */
  checksum = 0
  readonly #cutter: SegmentCutter
  readonly #session: RtmpSession
  #activity: 'idle' | 'publish' | 'play' = 'idle'
  #hasAsked = false

  constructor() {
    this.#cutter = new SegmentCutter({ maxDurationMs: MAX_DURATION_MS }, (segment) => this.#take(segment))
    this.#session = new RtmpSession({
      send: (bytes) => this.#hear(bytes),
      emit: (event) => this.#do(event),
      random: () => RANDOM,
    })
  }

  /** One whose handshake is over. */
  static shaken(): Client {
    const client = new Client()
    client.push(UNSIGNED)
    return client
  }

  get bytesHeld(): number {
    return this.#session.bytesHeld + this.#cutter.bytesHeld
  }

  get depth(): Depth {
    if (this.segments > 0) return 'segments'
    if (this.tags > 0) return 'media'
    if (this.#hasAsked) return 'asked'
    if (this.sentBytes > HANDSHAKE_SENT) return 'connected'
    return this.#session.isOpen ? 'open' : 'handshake'
  }

  push(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length
    this.#session.push(bytes)
    const { bytesHeld } = this.#session
    if (bytesHeld < 0 || bytesHeld > MAX_HELD) assert.fail(`${bytesHeld} bytes held of messages`)
    const open = this.#cutter.bytesHeld
    if (open < 0 || open > maxSourceBytes(LONGEST_SEGMENT_MS)) assert.fail(`${open} bytes held of a segment`)
  }

  end(): void {
    this.#cutter.end()
    if (this.#cutter.bytesHeld !== 0) assert.fail('the last segment is held')
  }

  /** What is true of all of it, however it ended. */
  checkSums(): void {
    const { cutBytes, receivedBytes, sentBytes, tags } = this
    // Every message has a byte of its own: the work that it makes is bounded by what came.
    if (tags > receivedBytes) assert.fail(`${tags} messages in ${receivedBytes} bytes`)
    if (sentBytes > HANDSHAKE_SENT + receivedBytes * MAX_SENT_PER_BYTE) assert.fail(`${sentBytes} bytes sent`)
    if (cutBytes > receivedBytes * MAX_CUT_PER_BYTE) assert.fail(`${cutBytes} bytes of segments`)
  }

  #hear(bytes: Uint8Array): void {
    this.sentBytes += bytes.length
    this.#add(bytes.length, bytes[bytes.length - 1]!)
  }

  #do(event: RtmpEvent): void {
    switch (event.kind) {
      case 'publish':
      case 'play': {
        const { app, name, tcUrl } = event.request
        if (this.#activity !== 'idle')
          assert.fail(`a request to ${event.kind} while it may ${this.#activity}`)
        if (Math.max(app.length, name.length, tcUrl.length) > MAX_NAME) assert.fail('a name without a bound')
        this.#activity = event.kind
        this.#hasAsked = true
        this.#add(app.length, name.length, tcUrl.length)
        this.#session.accept()
        break
      }
      case 'end':
        if (this.#activity === 'idle') assert.fail('an end of nothing')
        this.#activity = 'idle'
        this.#add(1)
        break
      case 'metadata':
        if (this.#activity !== 'publish') assert.fail('metadata of a client that does not publish')
        this.#add(event.metadata.size, event.payload.length)
        this.#cutter.metadata(event.metadata)
        break
      default: {
        const { kind, payload, timestamp } = event
        if (this.#activity !== 'publish') assert.fail('media of a client that does not publish')
        if (timestamp >>> 0 !== timestamp) assert.fail(`a time of ${timestamp}`)
        if (payload.length < 1 || payload.length > MAX_MESSAGE_BYTES) assert.fail(`${payload.length} bytes`)
        this.tags++
        this.#add(kind.length, timestamp, payload.length, payload[0]!, payload[payload.length - 1]!)
        this.#cutter[kind](timestamp, payload)
      }
    }
  }

  #take({ bytes, durationMs, hasVideo }: CutSegment): void {
    if (!(durationMs > 0 && durationMs <= LONGEST_SEGMENT_MS)) assert.fail(`a segment of ${durationMs} ms`)
    if (bytes.length === 0 || bytes.length % 188 !== 0) assert.fail(`a segment of ${bytes.length} bytes`)
    this.segments++
    this.cutBytes += bytes.length
    this.#add(durationMs, bytes.length, Number(hasVideo))
  }

  #add(...values: readonly number[]): void {
    for (const value of values) this.checksum = Math.imul(this.checksum ^ value, 0x01000193)
  }
}

/** Lets a client say it in pieces, and ends it. Any error but the protocol's own is a crash. */
function say(client: Client, bytes: Uint8Array, nextPiece: () => number): End {
  try {
    for (let at = 0; at < bytes.length; ) {
      const length = nextPiece()
      client.push(bytes.subarray(at, at + length))
      at += length
    }
    client.end()
    return 'none'
  } catch (error) {
    if (!(error instanceof RtmpError)) throw error
    // What came before is served.
    client.end()
    return error.code
  } finally {
    client.checkSums()
  }
}

const brief = conversations.filter(({ parts }) => parts.length <= 12)
const wholly = () => Number.MAX_SAFE_INTEGER
const collectGarbage = (() => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()
const memory = () => {
  collectGarbage()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

test('a handshake is understood however it is split in two', () => {
  for (const { hello, name, parts } of [conversations[0]!, conversations[1]!, conversations[2]!]) {
    const bytes = Buffer.concat([hello, parts[0]!.bytes])
    const expected = new Client()
    assert.equal(say(expected, bytes, wholly), 'none', name)
    assert.equal(expected.depth, 'connected')
    for (let at = 1; at < bytes.length; at++) {
      const [client, left] = [new Client(), [at, bytes.length]]
      say(client, bytes, () => left.shift()!)
      assert.equal(client.checksum, expected.checksum, `${name}: split at ${at}`)
    }
  }
})

test('conversations are understood however they are split in two, and byte by byte', () => {
  for (const { name, parts } of conversations) {
    const bytes = Buffer.concat(parts.map((part) => part.bytes))
    const read = (pieces: readonly number[]) => {
      const [client, left] = [Client.shaken(), [...pieces]]
      assert.equal(
        say(client, bytes, () => left.shift() ?? 1),
        'none',
        name,
      )
      return client
    }
    const expected = read([bytes.length])
    assert.ok(expected.segments > 0 || name === 'a player', name)
    assert.equal(expected.bytesHeld, 0, name)
    const bytewise = read([])
    assert.equal(bytewise.checksum, expected.checksum, name)
    for (let at = 1; at < bytes.length; at++) {
      const { bytesHeld, checksum } = read([at, bytes.length])
      assert.equal(checksum, expected.checksum, `${name}: split at ${at}`)
      assert.equal(bytesHeld, expected.bytesHeld, `${name}: split at ${at}`)
    }
  }
})

test(`${CONNECTIONS} mutated connections, split anywhere, end by themselves or with a reason`, (t) => {
  const mutator = new RtmpMutator(quickDice(SEED))
  const ends = new Map<End, number>()
  const depths = new Map<Depth, number>()
  const count = <T>(map: Map<T, number>, key: T) => map.set(key, (map.get(key) ?? 0) + 1)
  let before = 0
  for (let i = 0; i < CONNECTIONS; i++) {
    if (i === Math.floor(CONNECTIONS / 10)) before = memory()
    // Most are short, and reach as deep.
    const from = mutator.below(3) === 0 ? conversations : brief
    const conversation = from[mutator.below(from.length)]!
    const bytes = mutated(mutator, conversation)
    const piece = PIECES[mutator.below(PIECES.length)]!
    const client = new Client()
    let isFirst = true
    const end = say(client, bytes, () => {
      // The handshake mostly comes in one piece, so that the pieces are of what follows it.
      const length = isFirst && mutator.below(20) > 0 ? conversation.hello.length : 1 + mutator.below(piece)
      isFirst = false
      return length
    })
    count(ends, end)
    count(depths, client.depth)
    if (mutator.below(READ_TWICE_ONE_IN) === 0) {
      const again = new Client()
      assert.equal(say(again, bytes, wholly), end, `connection ${i} of ${SEED}`)
      assert.equal(again.checksum, client.checksum, `connection ${i} of ${SEED}`)
    }
  }
  const left = memory() - before
  assert.ok(left < MAX_LEFT_BYTES, `${left} bytes are left behind`)

  const share = (depth: Depth) =>
    DEPTHS.slice(DEPTHS.indexOf(depth)).reduce((sum, each) => sum + (depths.get(each) ?? 0), 0) / CONNECTIONS
  const seen = JSON.stringify([Object.fromEntries(ends), Object.fromEntries(depths)])
  t.diagnostic(seen)
  // Mutations must get past the handshake, most of them far, and end in every way.
  assert.ok(share('open') > 0.95 && share('asked') > 0.75, seen)
  assert.ok(share('media') > 0.6 && share('segments') > 0.4, seen)
  for (const end of ['none', 'protocol', 'limit', 'media'] as const) {
    assert.ok((ends.get(end) ?? 0) > CONNECTIONS / 100, seen)
  }
})

/** One conversation in 20 is damaged in its handshake, two in five by bytes, the others by messages. */
function mutated(mutator: RtmpMutator, conversation: Conversation): Uint8Array {
  const kind = mutator.below(20)
  if (kind === 0) return mutator.handshake(conversation)
  return kind <= 8 ? mutator.bytes(conversation) : mutator.messages(conversation)
}

test('what must be refused is refused wherever it comes in a conversation', () => {
  const mutator = new RtmpMutator(quickDice(SEED))
  const runs = Math.ceil(CONNECTIONS / 20 / (forbidden.length + forbiddenWhilePublishing.length))
  const publishers = conversations.filter(({ name }) => name !== 'a player')
  for (const { bytes, code, what } of forbidden) {
    for (let i = 0; i < runs; i++) {
      const conversation = conversations[i % conversations.length]!
      const said = mutator.withBytes(conversation, bytes, 0, conversation.parts.length)
      assert.equal(say(new Client(), said, wholly), code, `${what} in ${conversation.name}`)
    }
  }
  for (const { bytes, code, what } of forbiddenWhilePublishing) {
    for (let i = 0; i < runs; i++) {
      const conversation = publishers[i % publishers.length]!
      const said = mutator.withBytes(conversation, bytes, conversation.mediaFrom, conversation.endAt)
      assert.equal(say(new Client(), said, wholly), code, `${what} in ${conversation.name}`)
    }
  }
})

test('connections that stop anywhere hold no more than they count', () => {
  const mutator = new RtmpMutator(quickDice(SEED))
  const clients: Client[] = []
  const before = memory()
  for (let i = 0; i < 1_000; i++) {
    const bytes = mutated(mutator, conversations[i % conversations.length]!)
    const client = new Client()
    clients.push(client)
    try {
      client.push(bytes.subarray(0, mutator.below(bytes.length + 1)))
    } catch (error) {
      if (!(error instanceof RtmpError)) throw error
    }
  }
  const taken = memory() - before
  const counted = clients.reduce((sum, { bytesHeld }) => sum + bytesHeld, 0)
  assert.ok(
    taken < counted + clients.length * MAX_UNCOUNTED_BYTES,
    `${taken} bytes, ${counted} of them counted`,
  )
})

test('mutated connections leave nothing behind in the port, whatever the gateway answers them', async () => {
  const dice: Dice = { ...quickDice(SEED), bytes: (length) => RANDOM.subarray(0, length) }
  const mutator = new RtmpMutator(quickDice(SEED))
  const clock: Clock = { now: () => 0, sleep: async () => {} }
  const hubs = new Map<string, MediaHub>()
  const options = { maxDurationMs: MAX_DURATION_MS }
  const player = conversations.find(({ name }) => name === 'a player')!
  let served = 0
  let played = 0
  for (let i = 0; i < CONNECTIONS / WHOLE_ONE_IN; i++) {
    const gateway = new FakeStreams()
    const log = new RecordingLog()
    const work: Promise<void>[] = []
    const answer = mutator.below(10)
    gateway.authorize = async () => {
      for (let turns = mutator.below(4); turns > 0; turns--) await Promise.resolve()
      if (answer === 0) throw new NodeError('stream-denied', 'denied')
      return null
    }
    let held = 0
    let unsent = 0
    const connect = () => {
      const socket = new RtmpSocket()
      new RtmpConnection(socket.socket, {
        ...{ clock, dice, gateway, hubs, log, options },
        held: (change) => {
          held += change
          return held >= 0
        },
        unsent: (change) => {
          unsent += change
          return true
        },
        spawn: (_name, run) => void work.push(run(new AbortController().signal)),
      })
      return socket
    }
    const bytes = mutated(mutator, conversations[i % conversations.length]!)
    const [publisher, viewer] = [connect(), connect()]
    const middle = mutator.below(bytes.length + 1)
    await publisher.receive(bytes.subarray(0, middle))
    played += hubs.size
    await viewer.receive(player.hello)
    for (const part of player.parts) await viewer.receive(part.bytes)
    await publisher.receive(bytes.subarray(middle))
    for (let turns = mutator.below(12); turns > 0; turns--) await Promise.resolve()
    publisher.emit(mutator.below(2) === 0 ? 'end' : 'close')
    viewer.emit('end')
    for (let at = 0; at < work.length; at++) await work[at]
    await Promise.all(work)
    served += gateway.segments.length
    const what = `connection ${i} of ${SEED}`
    assert.deepEqual([held, unsent], [0, 0], what)
    assert.deepEqual([hubs.size, gateway.names.size], [0, 0], what)
    assert.deepEqual(log.of('error'), [], what)
  }
  assert.ok(
    served > CONNECTIONS / WHOLE_ONE_IN / 2 && played > 0,
    `${served} segments, ${played} of them played`,
  )
})
