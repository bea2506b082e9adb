import { type Capabilities, jobCapabilities } from '../../domain/capabilities.ts'
import { type Causes, noCauses } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { OrchestratorPlace } from '../../domain/no-session.ts'
import { type Format, type Profile, withFormat } from '../../domain/rendition.ts'
import { type Clip, sentDurationMs } from '../../domain/segment.ts'
import type { SelectionWeights } from '../../domain/selection.ts'
import type { Inspection } from '../../domain/sound-state.ts'
import { playedName } from '../../domain/stream-name.ts'
import type { Clock } from '../../lib/clock.ts'
import { counted } from '../../lib/counted.ts'
import { keccak256, type Signer } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Recorder, Recording } from '../recordings/recorder.ts'
import { EndedStreams, GRACE_MS } from './ended-streams.ts'
import { FastVerification, type RefutedResults, type RenditionInspector } from './fast-verification.ts'
import { GatewayError, gatewayErrorOf } from './gateway-error.ts'
import { NoSessions, type PayingView } from './no-sessions.ts'
import type { Outlets } from './outlets.ts'
import type { Payer } from './payer.ts'
import { type Publication, Publishers } from './publishers.ts'
import { ResultStore } from './result-store.ts'
import type { ResultVerifier } from './result-verifier.ts'
import { SegmentTries } from './segment-tries.ts'
import { type SegmentJob, SegmentWork } from './segment-work.ts'
import type { Directory, OrchestratorFacts } from './session-needs.ts'
import { type SessionEnder, StreamSessions } from './sessions.ts'
import { type InputProbe, SOURCE, Stream } from './stream.ts'
import { StreamAdmissions, type StreamAuthority, type StreamGrant, sharedUrl } from './stream-authority.ts'
import { grantedName, type StreamTerms, termsOf } from './stream-terms.ts'
import type { SubmissionClient } from './submission.ts'

/** How often idle streams are ended, and after how long without a segment (gateway.md §3). */
const IDLE_MS = 60_000
/** Time limit for telling orchestrators that a stream ended; shorter when this node stops. */
const END_MS = 10_000
const END_ON_STOP_MS = 1_000
/** The most segments of one stream in work at once; a live stream has fewer. */
const MAX_SEGMENTS_AT_WORK = 64
/** Codecs that orchestrators can decode; an input that cannot be probed counts as H.264 (gateway.md §3). */
const KNOWN_CODECS: ReadonlySet<string> = new Set(['', 'h264', 'hevc', 'vp8', 'vp9'])
const UNKNOWN_INPUT: InputProbe = {
  videoCodec: '',
  audioCodec: '',
  pixelFormat: '',
  width: 0,
  height: 0,
  zeroFrame: false,
}

/** What a publisher may set for a stream (gateway.md §3, §4). */
export interface StreamConfig {
  /** The name under which it is played and paid for; null for the name in the URL. */
  readonly manifestId: string | null
  /** Null for the gateway's own; with an empty list only the source is served. */
  readonly profiles: readonly Profile[] | null
  /** Stretches time-outs when above 1; for this segment only. */
  readonly timeoutMultiplier: number
  /** For this segment only. */
  readonly forceSessionReinit: boolean
  /** One result in so many is compared with a trusted orchestrator's; absent or 0 for none. */
  readonly verificationFrequency?: number
}

/** One segment as it was pushed, or cut from what a publisher sends over RTMP. */
export interface PushedSegment {
  /** The stream's name in the URL; not empty. */
  readonly externalId: string
  readonly sequence: bigint
  readonly format: Exclude<Format, 'none'>
  readonly bytes: Uint8Array
  readonly durationMs: number
  /** Whether nobody said how long it is: players are told what its pictures last, as far as that can be read. */
  readonly isDurationGuessed?: boolean
  /** `WxH` as the publisher names it: for players, until the segment itself tells. */
  readonly resolution: string
  readonly clip: Clip | null
  readonly config: StreamConfig | null
  /** The publisher's address; null or absent where it is not known. */
  readonly clientIp?: string | null
  /** The URL that it was pushed to, without a query; absent where no webhook is asked about it. */
  readonly url?: string
  /** What `admit` told of it; absent where it was not asked. */
  readonly grant?: StreamGrant | null
  /** Of a publication, which needs no slicing by orchestrators (gateway.md §17, 16). */
  readonly isPublished?: boolean
  /** Without pictures: it is played as it is, in every rendition. */
  readonly hasOnlySound?: boolean
}

/** One rendition of a segment. */
export interface Rendition {
  readonly name: string
  readonly format: Exclude<Format, 'none'>
  readonly bytes: Uint8Array
  /** Where it is in the object store; null or absent where it is in this node's memory alone. */
  readonly url?: string | null
}

/** The media engine, as the gateway uses it. */
export interface InputMedia {
  /** Throws if the bytes are not a container, or the stream is refused because it crashed several workers. */
  probe(bytes: Uint8Array, signal: AbortSignal, streamId: string): Promise<InputProbe>
  /** Throws if the bytes cannot be decoded. `streamId` names the stream to charge with crashed workers. */
  countPixels(bytes: Uint8Array, signal: AbortSignal, streamId?: string): Promise<bigint>
  /** Decodes a rendition, its sound too. Throws as `countPixels` does. */
  inspect(bytes: Uint8Array, signal: AbortSignal): Promise<Inspection>
  /** Throws as `countPixels`. */
  fingerprint: RenditionInspector['fingerprint']
}

/** Settings of the gateway (gateway.md §1). */
export interface GatewayOptions {
  readonly maxSessions: number
  /** Attempts per segment; 0 or less never transcodes. */
  readonly maxAttempts: number
  readonly profiles: readonly Profile[]
  /** Null offchain. */
  readonly weights: SelectionWeights | null
  /** Whether results are checked; the default is on chain yes, offchain no. */
  readonly localVerify: boolean
  /** `-orchMinLivepeerVersion`; empty for any. */
  readonly minOrchestratorVersion: string
  /** Where orchestrators are found; absent: they are listed. */
  readonly foundAt?: OrchestratorPlace
}

/** What the gateway needs. */
export interface GatewayNeeds {
  readonly directory: Directory
  readonly facts: OrchestratorFacts
  readonly client: SubmissionClient & SessionEnder
  readonly payer: Payer
  readonly signer: Signer
  readonly media: InputMedia
  /** Where segments wait for players. */
  readonly store: ObjectStore
  /** Where they are saved outside; absent: nowhere. */
  readonly outlets?: Outlets
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
  readonly causes?: Causes
  /** Who decides on new streams; absent or null: anyone may publish. */
  readonly authority?: StreamAuthority | null
  /** How it pays; null offchain. */
  readonly paying?: PayingView | null
  /** What records streams; absent or null where nothing does. */
  readonly recorder?: Pick<Recorder, 'begin'> | null
  /** Judges results too; null or absent: none. */
  readonly externalVerifier?: ResultVerifier | null
  /** Where results that were refuted are kept; null or absent: nowhere. */
  readonly refuted?: RefutedResults | null
}

/** Accepts segments of streams and returns their renditions; tries another orchestrator if one fails. */
export class Gateway implements Service {
  readonly name = 'gateway'
  readonly #options: GatewayOptions
  readonly #needs: GatewayNeeds
  readonly #tries: SegmentTries
  /** Explains why streams have no orchestrator. */
  readonly noSessions: NoSessions
  /** By the name under which they are played. */
  readonly #streams = new Map<string, Stream>()
  /** Name in the URL to name of the stream, where they differ. */
  readonly #renamed = new Map<string, string>()
  readonly #publishers = new Publishers()
  /** Null where anyone may publish. */
  readonly #admissions: StreamAdmissions | null
  readonly #ended: EndedStreams
  #scope: Scope | null = null

  constructor(options: GatewayOptions, needs: GatewayNeeds) {
    this.#options = options
    this.#needs = needs
    this.#ended = new EndedStreams(options.maxSessions)
    const { authority = null } = needs
    this.#admissions = authority && new StreamAdmissions(authority, needs.clock)
    const { client, payer, signer, clock, log, events } = needs
    const work = new SegmentWork({
      client,
      payer,
      signer,
      clock,
      log,
      events,
      verifier: options.localVerify ? needs.media : null,
      externalVerifier: needs.externalVerifier ?? null,
      inputs: needs.media,
    })
    const { foundAt = 'listed' } = options
    const { causes = noCauses, paying = null } = needs
    const noSessions = new NoSessions({ foundAt }, { causes, paying })
    this.noSessions = noSessions
    const { dice, media, refuted = null } = needs
    const comparison = new FastVerification({ work, media, dice, log, events, refuted })
    this.#tries = new SegmentTries(options, { work, comparison, noSessions, clock, log, events })
  }

  async start(scope: Scope): Promise<void> {
    this.#scope = scope
    scope.spawn('idle streams', async (signal) => {
      for (;;) {
        await this.#needs.clock.sleep(IDLE_MS, signal)
        const now = this.#needs.clock.now()
        for (const stream of [...this.#streams.values()]) {
          const isIdle = stream.idleMs(now) > IDLE_MS && !this.#publishers.has(stream.manifestId)
          if (isIdle) this.#finish(stream, 'nothing was pushed for a while')
        }
      }
    })
    scope.defer(async () => {
      this.#scope = null
      this.#ended.clear()
      const streams = [...this.#streams.values()]
      for (const stream of streams) this.#forget(stream, 'the node is stopping')
      await Promise.all(streams.map((stream) => this.#tellEnd(END_ON_STOP_MS, (limit) => stream.end(limit))))
    })
    await this.#needs.outlets?.prepare()
  }

  /**
   * Serves one pushed segment: returns its renditions in profile order, none if only the source is served. The source
   * is playable at once, renditions once they are verified. `signal` is aborted when the publisher stops waiting for
   * the answer: the first attempt continues, but no other is made. Throws GatewayError.
   */
  async serve(segment: PushedSegment, signal: AbortSignal): Promise<readonly Rendition[]> {
    const known = this.#known(segment)
    let grant = known ? undefined : await this.#granted(segment)
    // The name in the URL may be a secret, which belongs in no log.
    const name = known?.manifestId ?? grantedName(segment.externalId, grant ?? null)
    const input = await this.#probe(segment.bytes, name)
    if (!KNOWN_CODECS.has(input.videoCodec)) throw new GatewayError('unknown-codec', input.videoCodec)
    // The stream may have ended meanwhile.
    if (grant === undefined && !this.#known(segment)) grant = await this.#granted(segment)
    const stream = this.#streamFor(segment, input, grant ?? null)
    const { manifestId } = stream
    const { sequence } = segment
    if (stream.segmentsAtWork >= MAX_SEGMENTS_AT_WORK) {
      throw new GatewayError('segment-failed', 'too many segments of this stream at once')
    }
    using _ = stream.begin(sequence, () => this.#needs.clock.now())
    try {
      return await this.#process(stream, segment, input, signal)
    } catch (error) {
      const failure = stream.signal.aborted
        ? new GatewayError('segment-failed', 'the stream ended', { failure: 'stream-ended' })
        : gatewayErrorOf(error)
      const { code: fault, failure: how, message: reason } = failure
      this.#needs.events.tell({
        ...{ kind: 'segment-failed', side: 'gateway', failure: how },
        ...{ manifestId, sequence, fault, reason },
      })
      // A cause that is named is in the log already.
      const level = failure.causes.length > 0 ? 'debug' : 'warn'
      this.#needs.log[level]('segment was not transcoded', { manifestId, sequence, fault, reason })
      throw failure
    }
  }

  /**
   * Asks about the stream of a segment before its bytes are read: what is granted, undefined where there is nothing to
   * ask. Throws GatewayError `stream-denied` or `stream-refused`.
   */
  async admit(externalId: string, url: string): Promise<StreamGrant | null | undefined> {
    if (!this.#admissions || this.#known({ externalId })) return undefined
    return this.#admissions.ask(url, sharedUrl(url))
  }

  /** Asks about a stream before it is published. Throws GatewayError `stream-denied` or `stream-refused`. */
  async authorize(url: string): Promise<StreamGrant | null> {
    return (await this.#admissions?.ask(url, url)) ?? null
  }

  /**
   * Reserves a name for a live publisher, whose segments then come to `serve` under the name that is returned. The stream
   * ends with the publication, and can be played for a minute longer. Throws GatewayError `stream-refused`, which harms
   * nobody who has the name.
   */
  publish(externalId: string, grant: StreamGrant | null = null): Publication {
    const { manifestId } = termsOf(externalId, null, grant)
    this.#publishers.check(manifestId)
    const stream = this.#streams.get(manifestId)
    if (stream && !this.#publishers.has(manifestId)) {
      throw new GatewayError('stream-refused', `segments are being pushed to "${manifestId}" over HTTP`)
    }
    if (stream) this.#end(stream, 'its publisher came back')
    this.#checkRoom(manifestId)
    return this.#publishers.hold(manifestId, { externalId, grant }, (reason) => {
      const ended = this.#streams.get(manifestId)
      if (ended) this.#finish(ended, reason)
    })
  }

  /** The name under which a segment's stream is played. */
  nameOf({ config, externalId }: Pick<PushedSegment, 'config' | 'externalId'>): string {
    return this.#renamed.get(externalId) ?? playedName(config?.manifestId ?? null, externalId)
  }

  /** The master playlist of a stream, or null. */
  masterPlaylist(manifestId: string): string | null {
    return this.#played(manifestId)?.masterPlaylist() ?? null
  }

  /** The master playlist of the newest stream, or null. */
  currentPlaylist(): string | null {
    return [...this.#streams.values()].at(-1)?.masterPlaylist() ?? null
  }

  /** The playlist of one rendition, or null. */
  mediaPlaylist(manifestId: string, rendition: string): string | null {
    return this.#played(manifestId)?.mediaPlaylist(rendition) ?? null
  }

  /** A segment's bytes by its path behind `/stream/`, or null. */
  stored(path: string): Promise<Uint8Array | null> {
    return this.#needs.store.load(path)
  }

  /** The current streams, for the operator. */
  status(): readonly {
    manifestId: string
    externalId: string
    profiles: readonly string[]
    sessions: number
  }[] {
    return [...this.#streams.values()].map(({ manifestId, externalId, profiles, sessions }) => ({
      manifestId,
      externalId,
      profiles: profiles.map(({ name }) => name),
      sessions: sessions.all.length,
    }))
  }

  /** True while there is no stream. */
  get isIdle(): boolean {
    return this.#streams.size === 0
  }

  /** How many streams want results compared, and how many of them have the orchestrators for it. */
  comparing(): { readonly wanted: number; readonly possible: number } {
    const wanted = [...this.#streams.values()].filter((stream) => stream.verificationFrequency > 0)
    return { wanted: wanted.length, possible: wanted.filter(({ sessions }) => sessions.canCompare).length }
  }

  #played(manifestId: string): Stream | null {
    return this.#streams.get(manifestId) ?? this.#ended.get(manifestId)
  }

  async #probe(bytes: Uint8Array, stream: string): Promise<InputProbe> {
    const scope = this.#scope
    if (!scope) throw new GatewayError('segment-failed', 'the gateway is not running')
    try {
      return await this.#needs.media.probe(bytes, scope.signal, stream)
    } catch (error) {
      if (scope.signal.aborted) throw new GatewayError('segment-failed', 'the gateway is stopping')
      this.#needs.log.debug('segment could not be probed', { stream, error })
      return UNKNOWN_INPUT
    }
  }

  /** The segment's stream, if it is one that the segment may join without being asked about. */
  #known({ externalId, isPublished }: Pick<PushedSegment, 'externalId' | 'isPublished'>): Stream | null {
    // A publication goes by the name under which it is played, which may be another publisher’s name in a URL.
    const name = isPublished ? externalId : (this.#renamed.get(externalId) ?? externalId)
    const stream = this.#streams.get(name)
    if (!stream) return null
    // With a webhook, the name under which a stream is played gives nobody the right to add to it.
    const isOpen = this.#admissions === null || isPublished
    const isOwn = stream.externalId === externalId && !this.#publishers.has(stream.manifestId)
    return isOpen || isOwn ? stream : null
  }

  /** What is granted to a segment's stream. */
  async #granted({ externalId, grant, isPublished, url = '' }: PushedSegment): Promise<StreamGrant | null> {
    if (isPublished) return this.#publishers.grantOf(externalId)
    if (grant !== undefined) return grant
    return (await this.#admissions?.ask(url, sharedUrl(url))) ?? null
  }

  /** The segment's stream, started if necessary. Never waits, so that segments that arrive together share it. */
  #streamFor(segment: PushedSegment, input: InputProbe, grant: StreamGrant | null): Stream {
    const { config, externalId, format } = segment
    const known = this.#known(segment)
    if (known) return known
    const terms = termsOf(externalId, config, grant)
    const { manifestId } = terms
    const namesake = this.#streams.get(manifestId)
    if (namesake && this.#admissions) {
      if (manifestId !== grantedName(externalId, grant))
        throw new GatewayError('stream-refused', `another publisher is sending "${manifestId}"`)
      if (this.#publishers.has(manifestId)) return namesake
    }
    if (namesake) this.#end(namesake, 'another name was given to the stream')
    this.#checkRoom(manifestId)
    const profiles = (terms.profiles ?? this.#options.profiles).map((profile) => withFormat(profile, format))
    if (profiles.some(({ name }) => name === SOURCE)) {
      throw new GatewayError('stream-refused', `a rendition cannot be named "${SOURCE}": the input is`)
    }
    const perceptualHash = terms.verificationFrequency > 0
    const push = segment.isPublished !== true
    const capabilities = this.#capabilities(profiles, input, { push, perceptualHash })
    const session = segment.isPublished ? this.#publishers.externalIdOf(externalId) : externalId
    const recording =
      this.#needs.recorder?.begin(session, manifestId, grant?.recording?.store ?? null) ?? null
    return this.#begin(
      { ...terms, externalId, profiles, capabilities, sourceResolution: segment.resolution },
      { capabilities, recording },
    )
  }

  /** A stream that is published has its place from the start. Throws GatewayError. */
  #checkRoom(manifestId: string): void {
    const names = new Set([...this.#streams.keys(), ...this.#publishers.names])
    if (names.size < this.#options.maxSessions || names.has(manifestId)) return
    this.#needs.causes?.met({ code: 'streams-full', facts: { streams: names.size } })
    throw new GatewayError(
      'stream-refused',
      `-maxSessions allows ${counted(names.size, 'stream')}, and there are as many`,
    )
  }

  #capabilities(
    profiles: readonly Profile[],
    input: InputProbe,
    kind: { readonly push: boolean; readonly perceptualHash: boolean },
  ): Capabilities {
    try {
      return jobCapabilities({
        profiles,
        inputCodec: input.videoCodec,
        pixelFormat: input.pixelFormat,
        ...kind,
        minVersion: this.#options.minOrchestratorVersion,
      })
    } catch (error) {
      throw new GatewayError('unusable-input', messageOf(error), { cause: error })
    }
  }

  #begin(
    description: Omit<ConstructorParameters<typeof Stream>[0], 'nowMs'> & StreamTerms,
    { capabilities, recording }: { capabilities: Capabilities; recording: Recording | null },
  ): Stream {
    const { directory, payer, client, facts, clock, dice, log, store, events, outlets } = this.#needs
    const { externalId, manifestId, sessionId } = description
    const sessions = new StreamSessions(
      { weights: this.#options.weights, capabilities },
      {
        directory,
        payer,
        client,
        facts,
        clock,
        dice,
        log: log.child({ manifestId, ...(sessionId !== null && { sessionId }) }),
        suspended: (event) => events.tell({ kind: 'orchestrator-suspended', manifestId, ...event }),
        swapped: (reason) => events.tell({ kind: 'orchestrator-swapped', manifestId, reason }),
      },
    )
    const outlet = outlets?.of(description.objectStore) ?? null
    const needs = { sessions, store, outlet, recording }
    const stream = new Stream({ ...description, nowMs: clock.now() }, needs)
    this.#ended.drop(manifestId)
    this.#streams.set(manifestId, stream)
    if (externalId !== manifestId) this.#renamed.set(externalId, manifestId)
    events.tell({ kind: 'stream-begun', manifestId, profiles: description.profiles })
    return stream
  }

  async #process(
    stream: Stream,
    segment: PushedSegment,
    input: InputProbe,
    signal: AbortSignal,
  ): Promise<readonly Rendition[]> {
    const { sequence, bytes, clientIp = null, durationMs } = segment
    sentDurationMs(durationMs / 1000)
    const { manifestId } = stream
    this.#needs.events.tell({
      ...{ kind: 'segment-arrived', side: 'gateway', manifestId, sequence, durationMs, clientIp },
      bytes: bytes.length,
    })
    stream.noteSize(input)
    // Nothing waits for a store outside but its players.
    const source = stream.publishSource(segment, this.#needs.clock.now())
    if (stream.outlet) source.catch(() => {})
    else await source
    const renditions = await this.#renditionsOf(stream, segment, input, signal)
    await source
    return renditions
  }

  async #renditionsOf(
    stream: Stream,
    segment: PushedSegment,
    input: InputProbe,
    signal: AbortSignal,
  ): Promise<readonly Rendition[]> {
    const { sequence, bytes, clientIp = null, durationMs, format } = segment
    const { manifestId, profiles } = stream
    if (profiles.length === 0) return []
    const isPassedOn = input.zeroFrame || segment.hasOnlySound
    if (this.#options.maxAttempts <= 0) {
      if (!isPassedOn) this.#tries.tellUntried(stream, segment)
      return []
    }
    if (isPassedOn)
      return publishAll(
        stream,
        segment,
        profiles.map(({ name }) => ({ name, format, bytes })),
      )
    const reinit = stream.inputChanged(input)
    await stream.opened
    const job: SegmentJob = {
      manifestId,
      sequence,
      bytes,
      hash: keccak256(bytes),
      durationMs,
      profiles,
      capabilities: stream.capabilities,
      clip: segment.clip,
      forceSessionReinit: reinit || (segment.config?.forceSessionReinit ?? false),
      timeoutMultiplier: segment.config?.timeoutMultiplier ?? stream.timeoutMultiplier,
      clientIp,
      store: stream.outlet && new ResultStore(stream.outlet),
      verificationFrequency: stream.verificationFrequency,
    }
    const renditions = await this.#tries.transcode(stream, job, signal)
    stream.signal.throwIfAborted()
    return publishAll(
      stream,
      segment,
      profiles.map(({ name, format: own }, i) => ({
        name,
        format: own === 'mp4' ? 'mp4' : 'mpegts',
        bytes: renditions[i]!,
        url: job.store?.urlOf(renditions[i]!) ?? null,
      })),
    )
  }

  /** Ends a stream now; its orchestrators are notified in the background. */
  #end(stream: Stream, reason: string): void {
    this.#forget(stream, reason)
    this.#scope?.spawn('end of a stream', () => this.#tellEnd(END_MS, (limit) => stream.end(limit)))
  }

  /** Ends a stream whose segments are all done, and keeps it for players. */
  #finish(stream: Stream, reason: string): void {
    this.#forget(stream, reason)
    this.#ended.keep(stream)
    this.#scope?.spawn('end of a stream', async (signal) => {
      await this.#tellEnd(END_MS, (limit) => stream.finish(limit))
      await this.#needs.clock.sleep(GRACE_MS, signal)
      this.#ended.drop(stream.manifestId, stream)
    })
  }

  #forget(stream: Stream, reason: string): void {
    this.noSessions.settled(stream.manifestId)
    this.#streams.delete(stream.manifestId)
    if (this.#renamed.get(stream.externalId) === stream.manifestId) this.#renamed.delete(stream.externalId)
    this.#needs.events.tell({ kind: 'stream-ended', manifestId: stream.manifestId, reason })
  }

  async #tellEnd(limitMs: number, end: (limit: AbortSignal) => Promise<void>): Promise<void> {
    const limit = new AbortController()
    const told = new AbortController()
    const stopping = this.#scope?.signal
    const patience = this.#needs.clock
      .sleep(limitMs, stopping ? AbortSignal.any([told.signal, stopping]) : told.signal)
      .catch((error) => {
        if (!isAbort(error)) throw error
      })
      .finally(() => limit.abort())
    await Promise.race([end(limit.signal), patience])
    told.abort()
    await patience
  }
}

async function publishAll(
  stream: Stream,
  segment: PushedSegment,
  renditions: readonly Rendition[],
): Promise<readonly Rendition[]> {
  const { sequence, durationMs } = segment
  const publish = async (one: Rendition) => {
    const url = await stream.publish(one.name, { ...one, sequence, durationMs }, one.url)
    return { ...one, url }
  }
  return Promise.all(renditions.map(publish))
}
