import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import type { Address } from '../../lib/crypto.ts'
import { writeMaxFloat } from './convert-payment.ts'
import { MaxFloatReqSchema, MaxFloatUpdateSchema } from './gen/redeemer_pb.ts'
import { readAddress } from './wire-message.ts'

/** The flag and length in front of a gRPC message (wire.md §3). */
const FRAME_HEAD_BYTES = 5
/** Many times the size of a request for a sender's float. */
const MAX_QUESTION_BYTES = 1024
/** A stream without a request is ended after this long by default. */
const QUESTION_MS = 10_000

/** Reports a sender's float and its changes until the returned function is called. Throws ConnectError. */
export type ListenToFloat = (sender: Address, tell: (value: bigint) => void) => () => void

/**
 * Serves MonitorMaxFloat on bare HTTP/2 streams (wire.md §14). A redeemer has tens of thousands of them open, and a
 * call of a gRPC library takes several times the memory that a float needs.
 */
export class FloatStreams {
  readonly #questionMs: number
  readonly #open = new Set<FloatStream>()

  constructor(questionMs = QUESTION_MS) {
    this.#questionMs = questionMs
  }

  /** Takes over a stream whose headers have arrived; `onClose` is called once it is closed. */
  take(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    needs: { listen: ListenToFloat; onClose: () => void },
  ): void {
    const one = new FloatStream(stream, headers, { ...needs, questionMs: this.#questionMs })
    this.#open.add(one)
    stream.once('close', () => {
      this.#open.delete(one)
      one.closed()
      needs.onClose()
    })
  }

  /** Answers a stream whose headers have arrived with an error. */
  refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: ConnectError): void {
    new FloatStream(stream, headers, null).end(error)
  }

  /** Ends all streams with a proper status. */
  stop(): void {
    for (const one of this.#open) one.end(null)
  }
}

class FloatStream {
  readonly #stream: ServerHttp2Stream
  readonly #contentType: string
  /** Set until the request has arrived. */
  #listen: ListenToFloat | null
  #question: Buffer | null = null
  #limit: NodeJS.Timeout | null = null
  #leave: (() => void) | null = null
  #latest: bigint | null = null
  #told: bigint | null = null
  #isWriting = false
  #status: Readonly<Record<string, string>> | null = null

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    asks: { listen: ListenToFloat; questionMs: number } | null,
  ) {
    this.#stream = stream
    this.#contentType = headers['content-type'] ?? 'application/grpc'
    this.#listen = asks?.listen ?? null
    // A peer that disconnects is not an error here; 'close' follows.
    stream.on('error', ignore)
    if (!asks) return
    const noQuestion = new ConnectError('no message came', Code.DeadlineExceeded)
    this.#limit = setTimeout(() => this.end(noQuestion), asks.questionMs)
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('end', () => {
      if (this.#listen) this.end(new ConnectError('the message is not whole', Code.InvalidArgument))
    })
  }

  /** Ends the stream, with OK or with an error. */
  end(error: ConnectError | null): void {
    if (this.#status || this.#stream.destroyed) return
    this.closed()
    this.#status = {
      'grpc-status': String(error?.code ?? 0),
      'grpc-message': encodeURIComponent(error?.rawMessage ?? ''),
    }
    const { headersSent } = this.#stream
    if (headersSent) this.#stream.end()
    else this.#stream.respond(this.#headers(this.#status), { endStream: true })
    // The rest of the request is not needed.
    if (!headersSent) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  /** Stops reporting. */
  closed(): void {
    this.#listen = null
    this.#question = null
    if (this.#limit) clearTimeout(this.#limit)
    this.#limit = null
    this.#leave?.()
    this.#leave = null
  }

  #read(chunk: Buffer): void {
    const listen = this.#listen
    if (!listen) return
    const question = this.#question ? Buffer.concat([this.#question, chunk]) : chunk
    this.#question = question
    try {
      const message = messageIn(question)
      if (!message) return
      const sender = senderIn(message)
      this.closed()
      this.#leave = listen(sender, (value) => this.#tell(value))
      this.#begin()
    } catch (error) {
      this.end(ConnectError.from(error))
    }
  }

  #begin(): void {
    if (this.#status || this.#stream.destroyed) return
    this.#stream.respond(this.#headers(), { waitForTrailers: true })
    this.#stream.on('wantTrailers', () => this.#stream.sendTrailers({ ...this.#status }))
    this.#write()
  }

  #tell(value: bigint): void {
    this.#latest = value
    this.#write()
  }

  /** A peer that reads slowly misses values, but never the last one. */
  #write(): void {
    if (this.#isWriting || this.#status || !this.#stream.headersSent || this.#latest === this.#told) return
    this.#told = this.#latest
    this.#isWriting = true
    this.#stream.write(framed(toBinary(MaxFloatUpdateSchema, writeMaxFloat(this.#told!))), () => {
      this.#isWriting = false
      this.#write()
    })
  }

  #headers(more: Readonly<Record<string, string>> = {}): Record<string, string | number> {
    // As a Go server does (wire.md §3, answers).
    const trailer = 'Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin'
    return { ':status': 200, 'content-type': this.#contentType, trailer, ...more }
  }
}

/** The message of a frame; null while it is incomplete. Throws ConnectError. */
function messageIn(frame: Buffer): Buffer | null {
  if (frame.length < FRAME_HEAD_BYTES) return null
  if (frame[0] !== 0) throw new ConnectError('compression is not supported', Code.Unimplemented)
  const length = frame.readUInt32BE(1)
  if (length > MAX_QUESTION_BYTES) {
    throw new ConnectError(
      `message size ${length} is larger than ${MAX_QUESTION_BYTES} bytes`,
      Code.ResourceExhausted,
    )
  }
  return frame.length < FRAME_HEAD_BYTES + length
    ? null
    : frame.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + length)
}

function senderIn(message: Buffer): Address {
  try {
    return readAddress(fromBinary(MaxFloatReqSchema, message, { readUnknownFields: false }).sender)
  } catch (error) {
    throw ConnectError.from(error, Code.InvalidArgument)
  }
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEAD_BYTES + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, FRAME_HEAD_BYTES)
  return frame
}

function ignore(): void {}
