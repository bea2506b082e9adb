import { type Capabilities, jobCapabilities } from '../../domain/capabilities.ts'
import { noCauses } from '../../domain/causes.ts'
import { type Profile, withFormat } from '../../domain/rendition.ts'
import { sentDurationMs } from '../../domain/segment.ts'
import { keccak256 } from '../../lib/crypto.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Recording } from '../recordings/recorder.ts'
import { FastVerification } from './fast-verification.ts'
import { GatewayError, gatewayErrorOf } from './gateway-error.ts'
import type { GatewayNeeds, GatewayOptions } from './gateway-needs.ts'
import { LiveStreams } from './live-streams.ts'
import { NoSessions } from './no-sessions.ts'
import type { Publication } from './publishers.ts'
import type { PushedSegment, Rendition } from './pushed-segment.ts'
import { ResultStore } from './result-store.ts'
import { SegmentTries } from './segment-tries.ts'
import { type SegmentJob, SegmentWork } from './segment-work.ts'
import { StreamSessions } from './sessions.ts'
import { type InputProbe, SOURCE, Stream } from './stream.ts'
import { StreamAdmissions, type StreamGrant, sharedUrl } from './stream-authority.ts'
import { grantedName, type StreamTerms, termsOf } from './stream-terms.ts'

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

/** Accepts segments of streams and returns their renditions; tries another orchestrator if one fails. */
export class Gateway implements Service {
  readonly name = 'gateway'
  readonly #options: GatewayOptions
  readonly #needs: GatewayNeeds
  readonly #tries: SegmentTries
  /** Explains why streams have no orchestrator. */
  readonly noSessions: NoSessions
  readonly #streams: LiveStreams
  /** Null where anyone may publish. */
  readonly #admissions: StreamAdmissions | null
  #scope: Scope | null = null

  constructor(options: GatewayOptions, needs: GatewayNeeds) {
    this.#options = options
    this.#needs = needs
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
    this.#streams = new LiveStreams(
      {
        areOpen: authority === null,
        // An operator may change it.
        get maxStreams() {
          return options.maxSessions
        },
      },
      { clock, events, causes, forgotten: (manifestId) => noSessions.settled(manifestId) },
    )
    const { dice, media, refuted = null } = needs
    const comparison = new FastVerification({ work, media, dice, log, events, refuted })
    this.#tries = new SegmentTries(options, { work, comparison, noSessions, clock, log, events })
  }

  async start(scope: Scope): Promise<void> {
    this.#scope = scope
    this.#streams.start(scope)
    scope.defer(() => {
      this.#scope = null
    })
    await this.#needs.outlets?.prepare()
  }

  /**
   * Serves one pushed segment: returns its renditions in profile order, none if only the source is served. The source
   * is playable at once, renditions once they are verified. `signal` is aborted when the publisher stops waiting for
   * the answer: the first attempt continues, but no other is made. Throws GatewayError.
   */
  async serve(segment: PushedSegment, signal: AbortSignal): Promise<readonly Rendition[]> {
    const known = this.#streams.joined(segment)
    let grant = known ? undefined : await this.#granted(segment)
    // The name in the URL may be a secret, which belongs in no log.
    const name = known?.manifestId ?? grantedName(segment.externalId, grant ?? null)
    const input = await this.#probe(segment.bytes, name)
    if (!KNOWN_CODECS.has(input.videoCodec)) throw new GatewayError('unknown-codec', input.videoCodec)
    // The stream may have ended meanwhile.
    if (grant === undefined && !this.#streams.joined(segment)) grant = await this.#granted(segment)
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
    if (!this.#admissions || this.#streams.joined({ externalId })) return undefined
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
    return this.#streams.publish(manifestId, { externalId, grant })
  }

  /** The name under which a segment's stream is played. */
  nameOf(segment: Pick<PushedSegment, 'config' | 'externalId'>): string {
    return this.#streams.nameOf(segment)
  }

  /** The master playlist of a stream, or null. */
  masterPlaylist(manifestId: string): string | null {
    return this.#streams.played(manifestId)?.masterPlaylist() ?? null
  }

  /** The master playlist of the newest stream, or null. */
  currentPlaylist(): string | null {
    return this.#streams.all.at(-1)?.masterPlaylist() ?? null
  }

  /** The playlist of one rendition, or null. */
  mediaPlaylist(manifestId: string, rendition: string): string | null {
    return this.#streams.played(manifestId)?.mediaPlaylist(rendition) ?? null
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
    return this.#streams.all.map(({ manifestId, externalId, profiles, sessions }) => ({
      manifestId,
      externalId,
      profiles: profiles.map(({ name }) => name),
      sessions: sessions.all.length,
    }))
  }

  /** Whether no stream is live. */
  get isIdle(): boolean {
    return this.#streams.all.length === 0
  }

  /** How many streams want results compared, and how many of them have the orchestrators for it. */
  comparing(): { readonly wanted: number; readonly possible: number } {
    const wanted = this.#streams.all.filter((stream) => stream.verificationFrequency > 0)
    return { wanted: wanted.length, possible: wanted.filter(({ sessions }) => sessions.canCompare).length }
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

  /** What is granted to a segment's stream. */
  async #granted({ externalId, grant, isPublished, url = '' }: PushedSegment): Promise<StreamGrant | null> {
    if (isPublished) return this.#streams.grantOf(externalId)
    if (grant !== undefined) return grant
    return (await this.#admissions?.ask(url, sharedUrl(url))) ?? null
  }

  /** The segment's stream, started if necessary. Never waits, so that segments that arrive together share it. */
  #streamFor(segment: PushedSegment, input: InputProbe, grant: StreamGrant | null): Stream {
    const { config, externalId, format } = segment
    const known = this.#streams.joined(segment)
    if (known) return known
    const terms = termsOf(externalId, config, grant)
    const { manifestId } = terms
    const own = this.#streams.makeWay(manifestId, manifestId === grantedName(externalId, grant))
    if (own) return own
    const profiles = (terms.profiles ?? this.#options.profiles).map((profile) => withFormat(profile, format))
    if (profiles.some(({ name }) => name === SOURCE)) {
      throw new GatewayError('stream-refused', `a rendition cannot be named "${SOURCE}": the input is`)
    }
    const perceptualHash = terms.verificationFrequency > 0
    const push = segment.isPublished !== true
    const capabilities = this.#capabilities(profiles, input, { push, perceptualHash })
    const session = segment.isPublished ? this.#streams.publishedAs(externalId) : externalId
    const recording =
      this.#needs.recorder?.begin(session, manifestId, grant?.recording?.store ?? null) ?? null
    return this.#begin(
      { ...terms, externalId, profiles, capabilities, sourceResolution: segment.resolution },
      { capabilities, recording },
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
    const { manifestId, sessionId } = description
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
    this.#streams.add(stream)
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
