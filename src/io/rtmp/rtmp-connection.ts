import type { Socket } from 'node:net'
import { formatHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { hostAndPort, withoutMapping } from '../../lib/hosts.ts'
import type { Log } from '../../lib/log.ts'
import type { Publication } from '../../services/gateway/publishers.ts'
import type { PushedSegment } from '../../services/gateway/pushed-segment.ts'
import type { StreamGrant } from '../../services/gateway/stream-authority.ts'
import { MediaHub, type Player } from './media-hub.ts'
import { RtmpError } from './rtmp-error.ts'
import { type RtmpEvent, RtmpSession, type StreamRequest } from './rtmp-session.ts'
import { type CutSegment, SegmentCutter } from './segment-cutter.ts'
import { isMisleadingRequest, manifestIdOf, urlOf } from './stream-request.ts'

/** A client that neither publishes nor plays is disconnected after this. */
const IDLE_MS = 10_000
/** A publisher that sends no media for this long is ended. */
const SILENCE_MS = 10_000
/** A publisher must send this much of its stream in each such interval. */
const PACE_EVERY_MS = 60_000
const PACE_MS = 20_000
/** Segments of a publisher in work at once; it is not read while there are more, such as of a file sent at full speed. */
const MAX_AT_WORK = 8
/** A player that is further behind is disconnected, and a client that does not read its answers. */
const MAX_UNSENT_BYTES = 8_000_000
/** Where all clients together are too far behind, those that are further behind than this are disconnected. */
const FAIR_UNSENT_BYTES = 128_000
/** How long a client may take to read why it is disconnected. */
const HANG_UP_MS = 1_000
const RANDOM_NAME_BYTES = 4
/** What may come before a publisher is let in: it is not read on, but one message may hold many. */
const MAX_WAITING = 2_000
/** Memory of a message that waits beside its bytes. */
const WAITING_OVERHEAD = 256

/** What takes the streams of publishers. */
export interface PublishedStreams {
  /** Whether a stream may be published to this URL, and on what terms. Rejects with NodeError where it may not. */
  authorize(url: string): Promise<StreamGrant | null>
  publish(externalId: string, grant: StreamGrant | null): Publication
  serve(segment: PushedSegment, signal: AbortSignal): Promise<unknown>
}

/** What a connection depends on. */
export interface RtmpConnectionNeeds {
  readonly gateway: PublishedStreams
  readonly hubs: Map<string, MediaHub>
  readonly options: { readonly maxDurationMs: number }
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  /** Adds `change` to the bytes held by all connections, of which this one holds `own`. Returns false beyond the limit. */
  readonly held: (change: number, own: number) => boolean
  /** The same for bytes that the client has not read. */
  readonly unsent: (change: number) => boolean
  /** Runs work that outlasts the connection. */
  readonly spawn: (name: string, work: (signal: AbortSignal) => Promise<void>) => void
}

/** A stream that is being published. */
interface Publishing {
  readonly publication: Publication
  readonly cutter: SegmentCutter
  readonly hub: MediaHub
  readonly work: Set<Promise<void>>
  sequence: bigint
}

/** One client of the RTMP port: its socket, its stream, and the limits of time. */
export class RtmpConnection implements Player {
  readonly #socket: Socket
  readonly #needs: RtmpConnectionNeeds
  readonly #session: RtmpSession
  readonly #clientIp: string | null
  #publishing: Publishing | null = null
  /** What came while a publisher waits to be let in; null while none does. */
  #waiting: RtmpEvent[] | null = null
  #waitingBytes = 0
  #playing: { readonly hub: MediaHub; readonly manifestId: string } | null = null
  #bytesHeld = 0
  /** Of segments at work, which may outlast the connection. */
  #bytesAtWork = 0
  #isClosed = false
  /** When it last did what it is there for. */
  #activeMs: number
  #pace: { readonly sinceMs: number; readonly receivedMs: number } | null = null

  constructor(socket: Socket, needs: RtmpConnectionNeeds) {
    this.#socket = socket
    this.#needs = needs
    this.#clientIp = socket.remoteAddress ?? null
    this.#activeMs = needs.clock.now()
    this.#session = new RtmpSession({
      send: (bytes) => this.#send(bytes),
      emit: (event) => this.#hear(event),
      random: () => needs.dice.bytes(3072),
    })
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('end', () => this.close('the client closed its connection'))
    socket.on('close', () => this.close('the connection broke off'))
    socket.on('error', () => {
      // 'close' follows.
    })
  }

  /** Ends what the clock says must end. */
  tick(): void {
    const now = this.#needs.clock.now()
    if (this.#waiting) return
    const quietMs = now - this.#activeMs
    if (this.#publishing) {
      if (this.#socket.isPaused()) {
        // A publisher that is not read cannot send.
        this.#activeMs = now
        this.#startPace(this.#publishing, now)
      } else if (quietMs > SILENCE_MS) {
        this.#refuse('NetStream.Publish.Idle', `no media came for ${SILENCE_MS / 1000} s`)
      } else {
        this.#checkPace(this.#publishing, now)
      }
    } else if (!this.#playing && quietMs > IDLE_MS) {
      this.close(`the client did not publish or play within ${IDLE_MS / 1000} s`)
    }
  }

  /** Ends the stream and the connection, once what was written has been sent. */
  close(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#leave(reason)
    this.#needs.held(-this.#bytesHeld, 0)
    this.#bytesHeld = 0
    this.#socket.end()
    this.#needs.spawn('end of an RTMP connection', async (signal) => {
      await this.#needs.clock.sleep(HANG_UP_MS, signal)
      this.#socket.destroy()
    })
  }

  /** Sends a player a message of its stream, or disconnects it if it is too slow. */
  sendMedia(kind: 'audio' | 'video' | 'metadata', timestamp: number, payload: Uint8Array): void {
    this.#session.sendMedia(kind, timestamp, payload)
  }

  /** Tells a player that its stream is over. */
  stopPlaying(): void {
    this.#session.stopPlaying()
    this.close('the stream ended')
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isClosed) return
    this.#guarded(() => this.#session.push(bytes))
  }

  /** Does what the client's bytes lead to, and ends the client where they are at fault. */
  #guarded(work: () => void): void {
    try {
      work()
      if (this.#isClosed) return
      const held = this.#session.bytesHeld + this.#waitingBytes + (this.#publishing?.cutter.bytesHeld ?? 0)
      const change = held - this.#bytesHeld
      this.#bytesHeld = held
      // A client that does not publish gets no share.
      const own = this.#publishing ? held + this.#bytesAtWork : Number.POSITIVE_INFINITY
      if (!this.#needs.held(change, own))
        throw new RtmpError('limit', 'the gateway has no memory for another stream')
    } catch (error) {
      if (!(error instanceof RtmpError)) {
        this.#needs.log.error('serving an RTMP client failed', { error })
        this.close('an error of the gateway')
      } else if (this.#publishing) {
        this.#refuse('NetStream.Publish.Rejected', error.message)
      } else {
        this.#needs.log.debug('RTMP client disconnected', { reason: error.message, client: this.#clientIp })
        this.close(error.message)
      }
    }
  }

  #hear(event: RtmpEvent): void {
    if (this.#isClosed) return
    if (this.#waiting) {
      this.#keep(this.#waiting, event)
      return
    }
    switch (event.kind) {
      case 'publish':
        void this.#askToPublish(event.request)
        break
      case 'play':
        this.#play(event.request)
        break
      case 'end':
        this.#leave('the client ended it')
        break
      case 'metadata':
        this.#publishing?.cutter.metadata(event.metadata)
        this.#publishing?.hub.metadata(event.payload)
        break
      default:
        this.#media(event.kind, event.timestamp, event.payload)
    }
  }

  #keep(waiting: RtmpEvent[], event: RtmpEvent): void {
    if (waiting.length >= MAX_WAITING) {
      throw new RtmpError('limit', `more than ${MAX_WAITING} messages came before the stream was accepted`)
    }
    waiting.push(event)
    this.#waitingBytes += WAITING_OVERHEAD + ('payload' in event ? event.payload.length : 0)
  }

  #media(kind: 'audio' | 'video', timestamp: number, payload: Uint8Array): void {
    const publishing = this.#publishing
    if (!publishing) return
    this.#activeMs = this.#needs.clock.now()
    publishing.cutter[kind](timestamp, payload)
    publishing.hub.media(kind, timestamp, payload)
  }

  /** Lets a publisher in once the gateway agrees. Until then nothing more of it is read. */
  async #askToPublish(request: StreamRequest): Promise<void> {
    const { dice, gateway, log } = this.#needs
    const name = manifestIdOf(request) || formatHex(dice.bytes(RANDOM_NAME_BYTES)).slice(2)
    this.#waiting = []
    this.#socket.pause()
    let publication: Publication
    try {
      const { localAddress = '', localPort = 0 } = this.#socket
      const own = hostAndPort(withoutMapping(localAddress), localPort)
      if (isMisleadingRequest(request))
        throw new NodeError<'bad-name'>('bad-name', 'no stream has . or .. in the path of its name')
      const grant = await gateway.authorize(urlOf(request, own))
      if (this.#isClosed) return
      publication = gateway.publish(name, grant)
    } catch (error) {
      const isRefusal = error instanceof NodeError
      const reason = isRefusal ? error.message : 'an error of the gateway'
      // With a webhook the name in the URL may be a secret.
      log[isRefusal ? 'warn' : 'error']('publisher refused', {
        ...{ reason, client: this.#clientIp },
        ...(!isRefusal && { error }),
      })
      this.#session.refuse('NetStream.Publish.BadName', reason)
      this.close(reason)
      return
    }
    this.#publish(publication)
    const waiting = this.#waiting ?? []
    this.#waiting = null
    this.#waitingBytes = 0
    this.#guarded(() => {
      for (const event of waiting) this.#hear(event)
    })
    this.#readOn()
  }

  /** Reads further unless there is a reason to wait. */
  #readOn(): void {
    const atWork = this.#publishing?.work.size ?? 0
    if (!this.#waiting && atWork < MAX_AT_WORK) this.#socket.resume()
  }

  #publish(publication: Publication): void {
    const { clock, hubs, log, options } = this.#needs
    const { manifestId } = publication
    const cutter = new SegmentCutter(options, (segment) => this.#serve(publishing, segment))
    const hub = new MediaHub()
    const publishing: Publishing = { publication, cutter, hub, work: new Set(), sequence: 0n }
    this.#publishing = publishing
    this.#activeMs = clock.now()
    this.#startPace(publishing, this.#activeMs)
    hubs.set(manifestId, hub)
    log.info('publisher connected', { manifestId, client: this.#clientIp })
    this.#session.accept()
  }

  #serve(publishing: Publishing, { bytes, durationMs, hasVideo }: CutSegment): void {
    const { work } = publishing
    const { length } = bytes
    this.#countAtWork(length)
    const task = this.#deliver(publishing, {
      externalId: publishing.publication.manifestId,
      sequence: publishing.sequence++,
      ...{ format: 'mpegts', bytes, durationMs, resolution: '0x0', clip: null, config: null },
      ...{ clientIp: this.#clientIp, isPublished: true, hasOnlySound: !hasVideo },
    }).finally(() => {
      work.delete(task)
      this.#countAtWork(-length)
      this.#readOn()
    })
    work.add(task)
    if (work.size >= MAX_AT_WORK) this.#socket.pause()
  }

  /** Room is looked for with what comes next. */
  #countAtWork(change: number): void {
    this.#bytesAtWork += change
    this.#needs.held(change, 0)
  }

  async #deliver(publishing: Publishing, segment: PushedSegment): Promise<void> {
    try {
      await this.#needs.gateway.serve(segment, new AbortController().signal)
    } catch (error) {
      // A stream can be refused that was accepted; a segment that fails is told by the gateway.
      const isRefused = error instanceof NodeError && error.code === 'stream-refused'
      if (isRefused && this.#publishing === publishing) {
        this.#refuse('NetStream.Publish.Rejected', messageOf(error))
      }
    }
  }

  #play(request: StreamRequest): void {
    const manifestId = manifestIdOf(request)
    const hub = this.#needs.hubs.get(manifestId)
    if (!hub) {
      this.#session.refuse('NetStream.Play.StreamNotFound', 'no publisher sends this stream')
      this.close('an unknown stream')
      return
    }
    this.#session.accept()
    this.#playing = { hub, manifestId }
    hub.join(this)
  }

  #checkPace(publishing: Publishing, now: number): void {
    const { receivedMs } = publishing.cutter
    const pace = this.#pace
    if (!pace || now - pace.sinceMs < PACE_EVERY_MS) return
    const gained = receivedMs - pace.receivedMs
    if (gained < PACE_MS) {
      const [got, took] = [(gained / 1000).toFixed(1), PACE_EVERY_MS / 1000]
      this.#refuse('NetStream.Publish.Rejected', `only ${got} s of the stream came in ${took} s`)
    } else {
      this.#startPace(publishing, now)
    }
  }

  /** Its pace is measured from now on. */
  #startPace({ cutter: { receivedMs } }: Publishing, now: number): void {
    this.#pace = { sinceMs: now, receivedMs }
  }

  /** Ends a publisher with a reason. */
  #refuse(code: string, reason: string): void {
    const manifestId = this.#publishing?.publication.manifestId
    this.#needs.log.warn('publisher disconnected', { manifestId, reason, client: this.#clientIp })
    this.#session.refuse(code, reason)
    this.close(reason)
  }

  /** Ends what is published or played. The last segments of a stream are served before it ends. */
  #leave(reason: string): void {
    this.#playing?.hub.leave(this)
    this.#playing = null
    const publishing = this.#publishing
    this.#publishing = null
    if (!publishing) return
    const { cutter, hub, publication, work } = publishing
    const { hubs, log, spawn } = this.#needs
    this.#activeMs = this.#needs.clock.now()
    cutter.end()
    publication.leave()
    if (hubs.get(publication.manifestId) === hub) hubs.delete(publication.manifestId)
    hub.end()
    log.info('publisher left', { manifestId: publication.manifestId, reason })
    spawn('last segments of a publisher', async (signal) => {
      const stopped = Promise.withResolvers<void>()
      signal.addEventListener('abort', () => stopped.resolve(), { once: true })
      await Promise.race([Promise.all(work), stopped.promise])
      publication.end(reason)
    })
  }

  #send(bytes: Uint8Array): void {
    if (this.#socket.destroyed || this.#isClosed) return
    const { length } = bytes
    const hasRoom = this.#needs.unsent(length)
    this.#socket.write(bytes, () => this.#needs.unsent(-length))
    if (this.#socket.writableLength > (hasRoom ? MAX_UNSENT_BYTES : FAIR_UNSENT_BYTES)) {
      this.close('the client does not read what it asked for')
      this.#socket.destroy()
    }
  }
}
