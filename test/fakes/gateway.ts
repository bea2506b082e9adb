import { type Capabilities, defaultCapabilities } from '../../src/domain/capabilities.ts'
import type { Profile } from '../../src/domain/rendition.ts'
import type { Fingerprint } from '../../src/domain/result-comparison.ts'
import type { AuthToken, InfoRequest, OrchestratorInfo, TranscodeResult } from '../../src/domain/segment.ts'
import type { SelectionWeights } from '../../src/domain/selection.ts'
import { resultHash } from '../../src/domain/signed-hashes.ts'
import type { Inspection } from '../../src/domain/sound-state.ts'
import type { Payment, TicketParams } from '../../src/domain/ticket.ts'
import type { Clock } from '../../src/lib/clock.ts'
import {
  type Address,
  addressOfKey,
  keccak256,
  type Signer,
  signHash,
  ZERO_ADDRESS,
} from '../../src/lib/crypto.ts'
import { NodeError } from '../../src/lib/errors.ts'
import type { Payer, PaymentSession, StagedPayment } from '../../src/services/gateway/payer.ts'
import type { SessionEnder } from '../../src/services/gateway/sessions.ts'
import type { InputProbe } from '../../src/services/gateway/stream.ts'
import type { Submission, SubmissionClient } from '../../src/services/gateway/submission.ts'
import type { FakeOutsideStore } from './outside-store.ts'
import { profileOf } from './profile.ts'
import { signatureOf } from './signature.ts'

/** How a gateway on chain weighs orchestrators, unless a test says otherwise. */
export const WEIGHTS: SelectionWeights = {
  stakeWeight: 0.7,
  priceWeight: 0,
  randomWeight: 0.3,
  priceExpFactor: 100,
  maxPrice: null,
  ignoreMaxPriceIfNeeded: false,
  minPerfScore: 0,
}

/** The private key that is this small number. */
export function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(32)
  key[31] = number
  return key
}

/** Signs with the given key. */
export function keySigner(key: Uint8Array): Signer {
  return { address: addressOfKey(key), sign: async (hash) => signHash(key, hash) }
}

/** Ticket params that any payer accepts. */
export function ticketParams(recipient: Address): TicketParams {
  return {
    recipient,
    faceValue: 1000n,
    winProb: 1n,
    recipientRandHash: new Uint8Array(32),
    seed: 1n,
    expirationBlock: 100n,
    expirationParams: { creationRound: 1n, creationRoundBlockHash: new Uint8Array(32) },
  }
}

/** A submission that an orchestrator received, and its URL. */
export interface Received extends Submission {
  readonly base: string
}

/** An orchestrator of the fake network, whose behaviour tests replace. */
export class FakeOrchestrator {
  readonly url: string
  readonly key: Uint8Array
  readonly files = new Map<string, Uint8Array>()
  readonly submissions: Received[] = []
  readonly ended: AuthToken[] = []
  infoRequests: InfoRequest[] = []
  capabilities: Capabilities | null = defaultCapabilities('0.9.1')
  onchain = false
  price: OrchestratorInfo['priceInfo'] = { pricePerUnit: 1n, pixelsPerUnit: 1n }
  recipient: Address | null = null
  nodes: readonly string[] = []
  transcoder: string
  /** Milliseconds before an answer to GetOrchestrator. */
  infoDelayMs = 0
  infoError: Error | null = null
  tokenSeconds = 1800n
  sessions = 0
  /** Milliseconds before a result. */
  workMs = 0
  /** Thrown by a submission; `answered` is whether a status came first. */
  refusal: { error: Error; answered: boolean } | null = null
  /** As `refusal`, of the next submissions; null takes one. */
  nextRefusals: ({ error: Error; answered: boolean } | null)[] = []
  /** Refuses connections, and cuts those that wait for a result. */
  isAway = false
  /** Replaces the outcome. */
  outcome: TranscodeResult['outcome'] | null = null
  /** Added to the reported pixels. */
  lie = 0n
  /** Where it saves results if it is given what to save them with; null: nowhere. */
  saves: FakeOutsideStore | null = null
  /** The key that signs results; null for its own. */
  signWith: Uint8Array | null = null
  /** The perceptual hash that it states for its renditions; null for none. */
  signature: Uint8Array | null = signatureOf()

  constructor(url: string, number = 1) {
    this.url = url
    this.transcoder = url
    this.key = keyOf(number)
  }

  info(clock: Clock): OrchestratorInfo {
    const address = this.onchain ? addressOfKey(this.key) : ZERO_ADDRESS
    return {
      transcoder: this.transcoder,
      address,
      ticketParams: this.onchain ? ticketParams(this.recipient ?? address) : null,
      priceInfo: this.onchain ? this.price : null,
      capabilities: this.capabilities,
      authToken: {
        token: new Uint8Array(32),
        sessionId: (++this.sessions).toString(16).padStart(8, '0'),
        expiration: BigInt(Math.floor(clock.now() / 1000)) + this.tokenSeconds,
      },
      storage: [],
      nodes: this.nodes,
    }
  }

  work({ segment }: Received, clock: Clock): TranscodeResult {
    const info = { ...this.info(clock), authToken: segment.authToken }
    if (this.outcome) return { seq: segment.seq, info, outcome: this.outcome }
    const renditions = segment.profiles.map(({ name }) => {
      const bytes = new TextEncoder().encode(`${name} of segment ${segment.seq} by ${this.url}`)
      const key = segment.storage[0]?.s3?.key
      if (this.saves && key) {
        const path = `${key}/${name}/${segment.seq}.ts`
        void this.saves.files.save(path, bytes)
        return { bytes, url: this.saves.urlOf(path) }
      }
      const url = `${this.url}/stream/${segment.authToken?.sessionId}/${name}/${segment.seq}.ts`
      this.files.set(url, bytes)
      if (segment.calcPerceptualHash && this.signature) this.files.set(`${url}.phash`, this.signature)
      return { bytes, url }
    })
    const hash = resultHash(renditions.map(({ bytes }) => keccak256(bytes)))
    return {
      seq: segment.seq,
      info,
      outcome: {
        kind: 'data',
        renditions: renditions.map(({ bytes, url }) => ({
          url,
          pixels: BigInt(bytes.length) + this.lie,
          perceptualHashUrl: segment.calcPerceptualHash && this.signature ? `${url}.phash` : '',
        })),
        sig: this.onchain ? signHash(this.signWith ?? this.key, hash) : new Uint8Array(0),
      },
    }
  }
}

/** A network of fake orchestrators behind the client's interface. */
export class FakeNetwork implements SubmissionClient, SessionEnder {
  readonly #clock: Clock
  readonly #orchestrators = new Map<string, FakeOrchestrator>()
  /** URLs asked with GetOrchestrator, in order. */
  readonly asked: string[] = []
  downloads = 0

  constructor(clock: Clock, ...orchestrators: FakeOrchestrator[]) {
    this.#clock = clock
    for (const orchestrator of orchestrators) this.add(orchestrator)
  }

  add(orchestrator: FakeOrchestrator): FakeOrchestrator {
    this.#orchestrators.set(orchestrator.url, orchestrator)
    return orchestrator
  }

  async info(
    url: string,
    request: InfoRequest,
    _options: Parameters<SubmissionClient['info']>[2],
    signal: AbortSignal,
  ): Promise<OrchestratorInfo> {
    this.asked.push(url)
    const orchestrator = this.#at(url)
    orchestrator.infoRequests.push(request)
    if (orchestrator.infoDelayMs > 0) await this.#clock.sleep(orchestrator.infoDelayMs, signal)
    if (orchestrator.infoError) throw orchestrator.infoError
    return orchestrator.info(this.#clock)
  }

  async submit(base: string, submission: Submission, signal: AbortSignal): Promise<TranscodeResult> {
    const orchestrator = this.#at(base)
    const received = { ...submission, base }
    orchestrator.submissions.push(received)
    const refusal = orchestrator.nextRefusals.shift() ?? orchestrator.refusal
    if (refusal) {
      const { answered, error } = refusal
      const isRefused = error instanceof NodeError && error.code === 'refused'
      const status = isRefused ? Number(error.details.status ?? 400) : 200
      if (answered) submission.onStatus?.(status)
      throw error
    }
    submission.onStatus?.(200)
    if (orchestrator.workMs > 0) await this.#clock.sleep(orchestrator.workMs, signal)
    if (orchestrator.isAway) throw new NodeError('unreachable', 'the exchange broke off')
    return orchestrator.work(received, this.#clock)
  }

  async fetchRendition(url: string): Promise<Uint8Array> {
    this.downloads++
    for (const { files } of this.#orchestrators.values()) {
      const bytes = files.get(url)
      if (bytes) return bytes
    }
    throw new NodeError('refused', '404 Not Found')
  }

  async endSession(url: string, token: AuthToken): Promise<void> {
    this.#at(url).ended.push(token)
  }

  #at(url: string): FakeOrchestrator {
    const orchestrator = this.#orchestrators.get(url)
    if (!orchestrator || orchestrator.isAway) {
      throw new NodeError('unreachable', `nothing listens at ${url}`, { details: { isUnsent: true } })
    }
    return orchestrator
  }
}

/** A gateway's payer, which records what is asked of it and pays nothing unless a test says what. */
export class RecordingPayer implements Payer {
  /** Staged payments and their outcomes, in order. */
  readonly log: string[] = []
  refuseValidation: (info: OrchestratorInfo) => Error | null = () => null
  refuseStaging: Error | null = null
  needsRefresh = false
  /** What is paid with each segment; null as offchain. */
  payment: Payment | null = null
  readonly leftOut = new Set<string>()
  opened = 0
  closed = 0
  /** Sessions closed for a fault of the orchestrator. */
  faults = 0

  async validate(info: OrchestratorInfo): Promise<void> {
    const refusal = this.refuseValidation(info)
    if (refusal) throw refusal
  }

  isLeftOut(from: string): boolean {
    return this.leftOut.has(from)
  }

  open(_info: OrchestratorInfo): PaymentSession {
    this.opened++
    return {
      update: (info) => void this.log.push(`update ${info.authToken?.sessionId}`),
      needsRefresh: () => this.needsRefresh,
      stage: async () => {
        if (this.refuseStaging) throw this.refuseStaging
        this.log.push('staged')
        const staged: StagedPayment = {
          payment: this.payment,
          answered: () => void this.log.push('answered'),
          isInDoubt: false,
          doubted: () => void this.log.push('doubted'),
          uncovered: () => void this.log.push('uncovered'),
          completed: (pixels) => void this.log.push(`completed ${pixels}`),
          abandoned: () => void this.log.push('abandoned'),
          settled: (delivered) => void this.log.push(`settled ${delivered}`),
        }
        return staged
      },
      close: (isFault) => {
        this.closed++
        if (isFault) this.faults++
      },
    }
  }
}

/** A media engine that reads what tests write: `key=value` words; the pixels of a rendition are its bytes. */
export class FakeMedia {
  /** The error of counting pixels; null for none. */
  fault: Error | null = null
  /** What decoding the sound of some bytes finds. */
  sound: (text: string) => Inspection['sound'] = () => 'whole'
  /** Streams whose input was decoded. */
  readonly inputs: string[] = []

  async probe(bytes: Uint8Array): Promise<InputProbe> {
    const words = new Map(
      new TextDecoder()
        .decode(bytes)
        .split(' ')
        .map((word) => word.split('=') as [string, string | undefined]),
    )
    if (words.has('garbage')) throw new NodeError('media', 'Invalid data found when processing input')
    return {
      videoCodec: words.get('codec') ?? 'h264',
      audioCodec: words.get('audio') ?? 'aac',
      pixelFormat: words.get('pixels') ?? 'yuv420p',
      width: Number(words.get('width') ?? 1280),
      height: 720,
      zeroFrame: words.has('zero'),
    }
  }

  async inspect(bytes: Uint8Array): Promise<Inspection> {
    if (this.fault) throw this.fault
    return { pixels: BigInt(bytes.length), sound: this.sound(new TextDecoder().decode(bytes)) }
  }

  /** Of each rendition, by its text; those that are not here differ in nothing. */
  readonly fingerprints = new Map<string, Partial<Fingerprint> | Error>()

  async fingerprint(bytes: Uint8Array): Promise<Fingerprint> {
    const own = this.fingerprints.get(new TextDecoder().decode(bytes))
    if (own instanceof Error) throw own
    return { width: 256, height: 144, sound: new Uint8Array(0), signature: signatureOf(), ...own }
  }

  async countPixels(bytes: Uint8Array, _signal: AbortSignal, streamId?: string): Promise<bigint> {
    if (streamId !== undefined) this.inputs.push(streamId)
    if (this.fault) throw this.fault
    return BigInt(bytes.length)
  }
}

/** A small profile with the given name. */
export function profileNamed(name: string): Profile {
  return profileOf({ name, bitrate: 400_000, fps: 30, fpsDen: 0, format: 'none' })
}
