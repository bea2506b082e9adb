import { type AmfObject, type AmfValue, readAmf, type WrittenValue, writeAmf } from './amf.ts'
import { ByteReader } from './byte-reader.ts'
import { CHUNK_BYTES_SENT, ChunkReader, MESSAGE, type Message, writeMessage } from './chunks.ts'
import { answerHello, foreign, HELLO_BYTES, isHello, REPLY_BYTES } from './handshake.ts'
import { RtmpError } from './rtmp-error.ts'

/** What a client wants to publish or play, as it spelled it. */
export interface StreamRequest {
  readonly app: string
  readonly tcUrl: string
  /** The stream's name, which may hold a key and a query. */
  readonly name: string
}

/** What a connection said, in its order. */
export type RtmpEvent =
  | { readonly kind: 'publish'; readonly request: StreamRequest }
  | { readonly kind: 'play'; readonly request: StreamRequest }
  | { readonly kind: 'metadata'; readonly metadata: AmfObject; readonly payload: Uint8Array }
  | { readonly kind: 'audio' | 'video'; readonly timestamp: number; readonly payload: Uint8Array }
  /** The client ended what it published or played; the connection stays. */
  | { readonly kind: 'end' }

/** Where a session's output goes. */
export interface RtmpSessionNeeds {
  /** Bytes for the client. */
  readonly send: (bytes: Uint8Array) => void
  readonly emit: (event: RtmpEvent) => void
  /** 3,072 random bytes for the handshake. */
  readonly random: () => Uint8Array
}

/** As peers announce it (gateway.md §2). */
const WINDOW_BYTES = 5_000_000
/** A client that asks for an acknowledgement more often than this gets one as often as this. */
const LEAST_WINDOW_BYTES = 10_000
/** Commands and metadata are short. */
const MAX_COMMAND_BYTES = 65_536
const MAX_NAME_CHARACTERS = 1_024
const MAX_STREAMS_CREATED = 16
/** Chunk streams of what is sent: the protocol's, commands and a stream's. */
const PROTOCOL_CHUNKS = 2
const COMMAND_CHUNKS = 3
const STREAM_CHUNKS = 5
const AUDIO_CHUNKS = 6
const VIDEO_CHUNKS = 7
const PING_REQUEST = 6
const PING_RESPONSE = 7
const STREAM_BEGIN = 0
/** Each tag of an aggregate: a header of FLV, and the length of the tag behind it. */
const TAG_END_BYTES = 4
const AGGREGATED: readonly number[] = [MESSAGE.audio, MESSAGE.video, MESSAGE.dataAmf0, MESSAGE.dataAmf3]

type Activity = { readonly kind: 'idle' } | { readonly kind: 'publishing' | 'playing'; readonly id: number }

/**
 * The server's side of one RTMP connection: bytes in, events and answers out. It does no I/O and knows no time. A request
 * to publish or play is answered by `accept` or `refuse`. Every size and count is bounded; `push` throws RtmpError,
 * after which the session must not be used.
 */
export class RtmpSession {
  readonly #needs: RtmpSessionNeeds
  readonly #chunks = new ChunkReader((message) => this.#receive(message))
  /** The part of C0 and C1 that has arrived, until they have arrived whole. */
  #hello: Uint8Array = new Uint8Array(0)
  /** Bytes of the handshake that have arrived. */
  #shaken = 0
  #connected: { readonly app: string; readonly tcUrl: string } | null = null
  #streamsCreated = 0
  #activity: Activity = { kind: 'idle' }
  #asked: { readonly transaction: number; readonly id: number } | null = null
  #windowBytes = WINDOW_BYTES / 2
  #received = 0
  #acknowledged = 0

  constructor(needs: RtmpSessionNeeds) {
    this.#needs = needs
  }

  /** Whether the handshake is over. */
  get isOpen(): boolean {
    return this.#shaken === HELLO_BYTES + REPLY_BYTES
  }

  /** Bytes held for what has arrived in part. */
  get bytesHeld(): number {
    return this.#hello.length + this.#chunks.bytesHeld
  }

  /** Takes the next bytes of the client. Throws RtmpError. */
  push(bytes: Uint8Array): void {
    this.#received += bytes.length
    const rest = this.isOpen ? bytes : this.#shake(bytes)
    if (rest.length > 0) this.#chunks.push(rest)
    if (this.#received - this.#acknowledged >= this.#windowBytes && this.isOpen) {
      this.#acknowledged = this.#received
      this.#control(MESSAGE.acknowledgement, uint32(this.#received % 2 ** 32))
    }
  }

  /** Agrees to the last request. */
  accept(): void {
    if (!this.#asked) return
    const { id, transaction } = this.#asked
    if (this.#activity.kind === 'playing') {
      this.#control(MESSAGE.userControl, [...uint16(STREAM_BEGIN), ...uint32(id)])
      this.#status(id, transaction, 'status', 'NetStream.Play.Start', 'Start live')
      this.#send(STREAM_CHUNKS, MESSAGE.dataAmf0, id, 0, writeAmf('|RtmpSampleAccess', true, true))
    } else {
      this.#status(id, transaction, 'status', 'NetStream.Publish.Start', 'Start publishing')
    }
  }

  /** Tells the client why its stream is refused or ended, such as `NetStream.Publish.BadName`. */
  refuse(code: string, description: string): void {
    if (this.#asked) this.#status(this.#asked.id, this.#asked.transaction, 'error', code, description)
    this.#activity = { kind: 'idle' }
  }

  /** Tells a player that the stream is over. */
  stopPlaying(): void {
    if (this.#asked) {
      this.#status(this.#asked.id, this.#asked.transaction, 'status', 'NetStream.Play.Stop', 'Stop live')
    }
  }

  /** Sends a player one message of the stream. */
  sendMedia(kind: 'audio' | 'video' | 'metadata', timestamp: number, payload: Uint8Array): void {
    if (!this.#asked) return
    const [chunks, type] = {
      audio: [AUDIO_CHUNKS, MESSAGE.audio] as const,
      video: [VIDEO_CHUNKS, MESSAGE.video] as const,
      metadata: [STREAM_CHUNKS, MESSAGE.dataAmf0] as const,
    }[kind]
    this.#send(chunks, type, this.#asked.id, timestamp, payload)
  }

  /** Takes the handshake and returns what comes behind it. What C2 says does not matter. */
  #shake(bytes: Uint8Array): Uint8Array {
    const before = this.#shaken
    if (before === 0 && !isHello(bytes[0] ?? 3)) throw foreign(bytes[0]!)
    const part = bytes.subarray(0, HELLO_BYTES + REPLY_BYTES - before)
    this.#shaken += part.length
    if (before < HELLO_BYTES) {
      this.#hello = Buffer.concat([this.#hello, part.subarray(0, HELLO_BYTES - before)])
      if (this.#hello.length === HELLO_BYTES) {
        this.#needs.send(answerHello(this.#hello, this.#needs.random()))
        this.#hello = new Uint8Array(0)
      }
    }
    return bytes.subarray(part.length)
  }

  #receive(message: Message): void {
    const { payload, timestamp, type } = message
    switch (type) {
      case MESSAGE.windowAckSize:
        if (payload.length >= 4) {
          this.#windowBytes = Math.max(LEAST_WINDOW_BYTES, new ByteReader(payload).uint32() / 2)
        }
        break
      case MESSAGE.userControl:
        this.#answerPing(payload)
        break
      case MESSAGE.commandAmf0:
      case MESSAGE.commandAmf3:
        this.#command(message)
        break
      case MESSAGE.dataAmf0:
      case MESSAGE.dataAmf3:
        this.#data(message)
        break
      case MESSAGE.audio:
      case MESSAGE.video:
        this.#media(type, timestamp, payload)
        break
      case MESSAGE.aggregate:
        this.#aggregate(message)
        break
    }
  }

  #answerPing(payload: Uint8Array): void {
    if (payload.length < 6) return
    const reader = new ByteReader(payload)
    if (reader.uint16() !== PING_REQUEST) return
    this.#control(MESSAGE.userControl, [...uint16(PING_RESPONSE), ...reader.bytes(4)])
  }

  #media(type: number, timestamp: number, payload: Uint8Array): void {
    if (this.#activity.kind !== 'publishing' || payload.length === 0) return
    this.#needs.emit({ kind: type === MESSAGE.audio ? 'audio' : 'video', timestamp, payload })
  }

  /** Takes several tags of FLV out of one message; their times count from the first one's. */
  #aggregate({ payload, streamId, timestamp }: Message): void {
    if (this.#activity.kind !== 'publishing') return
    const reader = new ByteReader(payload)
    let first: number | null = null
    while (reader.left > 0) {
      const type = reader.uint8()
      const length = reader.uint24()
      const time = reader.uint24() + reader.uint8() * 2 ** 24
      reader.uint24()
      // A copy, so that a short one does not keep the whole aggregate.
      const body = reader.bytes(length).slice()
      if (reader.left > 0) reader.bytes(TAG_END_BYTES)
      first ??= time
      if (!AGGREGATED.includes(type)) {
        throw new RtmpError(
          'protocol',
          `an aggregate holds a message of type ${type}, which is neither media nor metadata`,
        )
      }
      const tagTime = (timestamp + time - first + 2 ** 32) % 2 ** 32
      this.#receive({ type, streamId, timestamp: tagTime, payload: body })
    }
  }

  #command({ payload, streamId, type }: Message): void {
    const values = readCommand(payload, type === MESSAGE.commandAmf3)
    const [name, transaction, object, ...rest] = values
    const number = typeof transaction === 'number' ? transaction : 0
    switch (name) {
      case 'connect':
        this.#connect(number, object)
        break
      case 'releaseStream':
      case 'FCPublish':
        // Encoders with the habits of Flash's own wait for an answer.
        if (number !== 0) this.#reply(['_result', number, null, null])
        break
      case 'createStream':
        this.#createStream(number)
        break
      case 'publish':
        this.#ask('publish', number, streamId, rest[0])
        break
      case 'play':
        this.#ask('play', number, streamId, rest[0])
        break
      case 'closeStream':
        this.#end(streamId)
        break
      case 'deleteStream':
        this.#end(rest[0])
        break
      case 'FCUnpublish':
        this.#end(null)
        break
    }
  }

  #connect(transaction: number, object: AmfValue | undefined): void {
    if (this.#connected) throw new RtmpError('protocol', 'the client connects twice')
    const options = object instanceof Map ? (object as AmfObject) : new Map<string, AmfValue>()
    this.#connected = { app: textOf(options.get('app')), tcUrl: textOf(options.get('tcUrl')) }
    this.#control(MESSAGE.setChunkSize, uint32(CHUNK_BYTES_SENT))
    this.#control(MESSAGE.windowAckSize, uint32(WINDOW_BYTES))
    this.#control(MESSAGE.setPeerBandwidth, [...uint32(WINDOW_BYTES), 2])
    this.#reply([
      ...['_result', transaction, { fmtVer: 'FMS/3,0,1,123', capabilities: 31 }],
      {
        ...{ level: 'status', code: 'NetConnection.Connect.Success', description: 'Connection succeeded.' },
        objectEncoding: options.get('objectEncoding') === 3 ? 3 : 0,
      },
    ])
  }

  #createStream(transaction: number): void {
    if (this.#streamsCreated >= MAX_STREAMS_CREATED) {
      throw new RtmpError('limit', `the client creates more than ${MAX_STREAMS_CREATED} streams`)
    }
    this.#reply(['_result', transaction, null, ++this.#streamsCreated])
  }

  #ask(kind: 'publish' | 'play', transaction: number, id: number, name: AmfValue | undefined): void {
    if (!this.#connected) throw new RtmpError('protocol', `the client asks to ${kind} before it connects`)
    if (this.#activity.kind !== 'idle') {
      throw new RtmpError('limit', 'a connection publishes or plays one stream at a time')
    }
    this.#activity = { kind: kind === 'publish' ? 'publishing' : 'playing', id }
    this.#asked = { transaction, id }
    this.#needs.emit({ kind, request: { ...this.#connected, name: textOf(name) } })
  }

  #end(id: AmfValue | undefined): void {
    if (this.#activity.kind === 'idle' || (typeof id === 'number' && id !== this.#activity.id)) return
    if (this.#activity.kind === 'publishing' && this.#asked) {
      const { id, transaction } = this.#asked
      this.#status(id, transaction, 'status', 'NetStream.Unpublish.Success', 'Stop publishing')
    }
    this.#activity = { kind: 'idle' }
    this.#needs.emit({ kind: 'end' })
  }

  #data({ payload, type }: Message): void {
    if (this.#activity.kind !== 'publishing' || payload.length > MAX_COMMAND_BYTES) return
    const bytes = type === MESSAGE.dataAmf3 && payload[0] === 0 ? payload.subarray(1) : payload
    const values = readAmf(new ByteReader(bytes))
    const isSet = values[0] === '@setDataFrame'
    const [name, metadata] = isSet ? values.slice(1) : values
    if (name !== 'onMetaData' || !(metadata instanceof Map)) return
    // Players get what follows the order to keep it, which is 16 bytes.
    const kept = isSet ? bytes.subarray(3 + '@setDataFrame'.length) : bytes
    this.#needs.emit({ kind: 'metadata', metadata: metadata as AmfObject, payload: kept })
  }

  #status(id: number, transaction: number, level: string, code: string, description: string): void {
    const values = writeAmf('onStatus', transaction, null, { level, code, description })
    this.#send(STREAM_CHUNKS, MESSAGE.commandAmf0, id, 0, values)
  }

  #reply(values: readonly WrittenValue[]): void {
    this.#send(COMMAND_CHUNKS, MESSAGE.commandAmf0, 0, 0, writeAmf(...values))
  }

  #control(type: number, payload: readonly number[]): void {
    this.#send(PROTOCOL_CHUNKS, type, 0, 0, Uint8Array.from(payload))
  }

  #send(chunks: number, type: number, streamId: number, timestamp: number, payload: Uint8Array): void {
    this.#needs.send(writeMessage(chunks, { type, streamId, timestamp, payload }))
  }
}

/** A command in AMF3 begins with a zero, after which its values are in AMF0 until one switches. */
function readCommand(payload: Uint8Array, isAmf3: boolean): readonly AmfValue[] {
  if (payload.length > MAX_COMMAND_BYTES) {
    throw new RtmpError('limit', `a command has ${payload.length} bytes, more than ${MAX_COMMAND_BYTES}`)
  }
  return readAmf(new ByteReader(isAmf3 && payload[0] === 0 ? payload.subarray(1) : payload))
}

function textOf(value: AmfValue | undefined): string {
  if (typeof value !== 'string') return ''
  if (value.length <= MAX_NAME_CHARACTERS) return value
  throw new RtmpError('limit', `a name has ${value.length} characters, more than ${MAX_NAME_CHARACTERS}`)
}

function uint16(value: number): readonly number[] {
  return [value >> 8, value & 0xff]
}

function uint32(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}
