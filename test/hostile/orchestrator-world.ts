import type { Capabilities } from '../../src/domain/capabilities.ts'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import { pricePerPixel } from '../../src/domain/price.ts'
import type {
  OrchestratorInfo,
  RenditionResult,
  SegmentData,
  TranscodeResult,
} from '../../src/domain/segment.ts'
import { resultHash } from '../../src/domain/signed-hashes.ts'
import { expectedValue, type Payment, type PriceInfo, type TicketParams } from '../../src/domain/ticket.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { OrchestratorClient } from '../../src/io/rpc/orchestrator-client.ts'
import type { NameLookup } from '../../src/io/rpc/peer-exchange.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { addressOfKey, keccak256, signHash } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Discovery } from '../../src/services/gateway/discovery.ts'
import { Gateway } from '../../src/services/gateway/gateway.ts'
import type { GatewayError } from '../../src/services/gateway/gateway-error.ts'
import { OrchestratorAccounts } from '../../src/services/gateway/orchestrator-accounts.ts'
import { TicketSender } from '../../src/services/gateway/ticket-sender.ts'
import { startEndpoint } from '../fakes/endpoint.ts'
import { eventsTo } from '../fakes/events.ts'
import { FakeMedia, keyOf, keySigner, WEIGHTS } from '../fakes/gateway.ts'
import { profileOf } from '../fakes/profile.ts'

const never = new AbortController().signal

/** A profile with 15,360 pixels in two seconds. */
const PROFILE = profileOf({ name: 'tiny', width: 16, height: 16, bitrate: 100_000, fps: 30, fpsDen: 0 })
export const PIXELS = 15_360n
export const PRICE: PriceInfo = { pricePerUnit: 1000n, pixelsPerUnit: 1n }
/** The cost of a segment at that price. */
export const FEE = PIXELS * 1000n
/** A ticket is worth 150 segments, which a gateway loses with each session that it changes. */
const EV = 150n * FEE

/**
 * An orchestrator on a real port whose behaviour a test changes; its renditions are bytes, each of which counts as a
 * pixel.
 */
export class HostileOrchestrator {
  readonly url: string
  readonly #key = keyOf(66)
  readonly #l1Block: () => bigint
  readonly #files: Map<string, Uint8Array>
  readonly #dice = seededDice('hostile')
  #sessions = 0
  /** Calls of GetOrchestrator. */
  asked = 0
  segments: { segment: SegmentData; payment: Payment | null }[] = []
  /** What it was paid in total, and the most at once; wei. */
  paid = Rational.zero
  largest = Rational.zero
  /** The value of what it delivered, at its first price; wei. */
  earned = Rational.zero
  tokenSeconds = 1800n
  /** L1 blocks that its params are valid for. */
  paramsBlocks = 40n
  /** The price in the n-th answer to GetOrchestrator, from 0. */
  price: (n: number) => PriceInfo = () => PRICE
  /** Changes its offer in an answer or with a result. */
  onOffer: (info: OrchestratorInfo) => OrchestratorInfo = (info) => info
  /** Changes the offer sent with a result; null sends none. */
  onResultInfo: (info: OrchestratorInfo) => OrchestratorInfo | null = (info) => info
  onRendition: (rendition: RenditionResult) => RenditionResult = (rendition) => rendition
  /** The bytes of its renditions, one per pixel. */
  bytes = Buffer.alloc(Number(PIXELS), 'x')
  /** Returns this error instead of a result. */
  error: string | null = null

  constructor(endpoint: Awaited<ReturnType<typeof startEndpoint>>, l1Block: () => bigint) {
    this.url = endpoint.url
    this.#l1Block = l1Block
    this.#files = endpoint.api.files
    endpoint.api.onInfo = async () => this.#offer(this.asked++)
    endpoint.api.admit = async (segment, payment) => {
      this.#take(payment)
      this.segments.push({ segment, payment })
      return { transcode: async () => this.#work(segment), release: () => {} }
    }
  }

  #offer(n: number): OrchestratorInfo {
    return this.onOffer({
      transcoder: this.url,
      address: addressOfKey(this.#key),
      ticketParams: this.#params(),
      priceInfo: this.price(n),
      capabilities: anything(),
      authToken: this.#token(),
      storage: [],
      nodes: [],
    })
  }

  #params(): TicketParams {
    return {
      recipient: addressOfKey(this.#key),
      faceValue: EV * 100n,
      winProb: (2n ** 256n - 1n) / 100n + 1n,
      recipientRandHash: this.#dice.bytes(32),
      seed: 1n,
      expirationBlock: this.#l1Block() + this.paramsBlocks,
      expirationParams: { creationRound: 5n, creationRoundBlockHash: keccak256() },
    }
  }

  /** A token of a new session. */
  token(): NonNullable<OrchestratorInfo['authToken']> {
    return this.#token()
  }

  #token() {
    return {
      token: new Uint8Array(32),
      sessionId: (++this.#sessions).toString(16).padStart(8, '0'),
      expiration: BigInt(Math.floor(Date.now() / 1000)) + this.tokenSeconds,
    }
  }

  #take(payment: Payment | null): void {
    const params = payment?.ticketParams
    if (!params) return
    const worth = expectedValue(params.faceValue, params.winProb).mul(
      Rational.of(BigInt(payment.tickets.length)),
    )
    this.paid = this.paid.add(worth)
    if (worth.cmp(this.largest) > 0) this.largest = worth
  }

  #work(segment: SegmentData): TranscodeResult {
    const { seq, authToken, profiles } = segment
    const said = this.#offer(-1)
    const info = this.onResultInfo({
      ...said,
      authToken,
      priceInfo: this.segments[0]!.payment!.expectedPrice,
    })
    if (this.error !== null) return { seq, info, outcome: { kind: 'error', text: this.error } }
    const renditions = profiles.map(({ name }) => {
      const path = `${authToken!.sessionId}/${name}/${seq}.ts`
      this.#files.set(path, this.bytes)
      const rendition = {
        url: `${this.url}/stream/${path}`,
        pixels: BigInt(this.bytes.length),
        perceptualHashUrl: '',
      }
      return this.onRendition(rendition)
    })
    const sig = signHash(this.#key, resultHash(renditions.map(() => keccak256(this.bytes))))
    return { seq, info, outcome: { kind: 'data', renditions, sig } }
  }

  /** Counts a served segment. */
  served(): void {
    this.earned = this.earned.add(pricePerPixel(PRICE).mul(Rational.of(PIXELS)))
  }
}

function anything(): Capabilities {
  return defaultCapabilities('0.9.1')
}

/** A complete gateway except for chain and FFmpeg, with one orchestrator that it found in the pool. */
export async function startWorld(options: { names?: NameLookup } = {}) {
  const rounds = {
    lastInitializedRound: 5n,
    l1Block: 1000n,
    expirationParams: { creationRound: 5n, creationRoundBlockHash: keccak256() },
  }
  const endpoint = await startEndpoint()
  const orchestrator = new HostileOrchestrator(endpoint, () => rounds.l1Block)
  const warnings: string[] = []
  const log: Log = {
    ...silentLog,
    warn: (message, fields) =>
      void warnings.push(`${message} ${(fields as { orchestrator?: string })?.orchestrator ?? ''}`.trim()),
    child: () => log,
  }
  const env = { clock: systemClock, dice: seededDice('gateway'), log }
  const signer = keySigner(keyOf(77))
  const accounts = new OrchestratorAccounts(env)
  const plenty = 10n ** 18n
  const payer = new TicketSender(
    { maxTicketEv: Rational.of(10n ** 15n), maxTotalEv: Rational.of(10n ** 17n), depositMultiplier: 1n },
    {
      ...env,
      ...{ signer, rounds, accounts },
      funds: {
        info: async () => ({
          deposit: plenty,
          withdrawRound: 0n,
          fundsRemaining: plenty,
          claimedInCurrentRound: 0n,
        }),
      },
    },
  )
  const client = new OrchestratorClient(options.names)
  const directory = new Discovery(
    { timeoutMs: 500, extraNodes: 0, blocklist: [] },
    {
      source: {
        candidates: async () => [
          { url: orchestrator.url, trust: 'untrusted', mustBePayable: true, reach: 'any' },
        ],
        stakeOf: () => 1n,
      },
      ...{ client, signer, payer, ...env, events: eventsTo() },
    },
  )
  const media = new FakeMedia()
  const gateway = new Gateway(
    {
      maxSessions: 10,
      maxAttempts: 3,
      profiles: [PROFILE],
      weights: WEIGHTS,
      localVerify: true,
      minOrchestratorVersion: '',
    },
    {
      facts: { stakeOf: () => 1n, perfScoreOf: () => null },
      ...{ directory, client, payer, signer, media, store: new MemoryObjects(), ...env },
      events: eventsTo(),
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(client)
  await supervisor.start(gateway)
  let sequence = 0n
  /** Pushes a segment and returns the outcome. */
  const push = async (): Promise<'served' | GatewayError> => {
    try {
      await gateway.serve(
        {
          externalId: 'movie',
          sequence: sequence++,
          format: 'mpegts',
          bytes: Buffer.from(`codec=h264 number=${sequence}`),
          durationMs: 2000,
          resolution: '16x16',
          clip: null,
          config: null,
        },
        never,
      )
      orchestrator.served()
      return 'served'
    } catch (error) {
      return error as GatewayError
    }
  }
  return {
    ...{ accounts, client, gateway, media, orchestrator, push, rounds, warnings },
    /** Pushes segments until the orchestrator is suspended, at most this many; returns how many. */
    pushMany: async (count: number): Promise<number> => {
      for (let pushed = 0; pushed < count; pushed++) {
        if (accounts.isLeftOut(orchestrator.url)) return pushed
        await push()
      }
      return count
    },
    async [Symbol.asyncDispose]() {
      await supervisor.stop()
      await endpoint[Symbol.asyncDispose]()
    },
  }
}
