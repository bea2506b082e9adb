import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import { type Causes, noCauses } from '../../src/domain/causes.ts'
import { presetNamed } from '../../src/domain/rendition.ts'
import type { AuthToken, SegmentData } from '../../src/domain/segment.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { OrchestratorClient } from '../../src/io/rpc/orchestrator-client.ts'
import {
  OrchestratorEndpoint,
  type OrchestratorEndpointNeeds,
  type OrchestratorEndpointOptions,
} from '../../src/io/rpc/orchestrator-endpoint.ts'
import { Endpoint, type EndpointOptions } from '../../src/io/rpc/server.ts'
import { TranscoderEndpoint } from '../../src/io/rpc/transcoder-endpoint.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { type Address, keccak256, ZERO_ADDRESS } from '../../src/lib/crypto.ts'
import { systemDice } from '../../src/lib/dice.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Orchestrator, type SenderLookups } from '../../src/services/orchestrator/orchestrator.ts'
import type { Recipient } from '../../src/services/orchestrator/recipient.ts'
import { FREE } from '../../src/services/orchestrator/segment-accounts.ts'
import type { Transcoder } from '../../src/services/transcoding/transcoder.ts'
import { TranscoderPool } from '../../src/services/transcoding/transcoder-pool.ts'
import { eventsTo } from '../fakes/events.ts'

/** The secret of the victim's transcoders. */
export const SECRET = 's3cret'
/** How long an honest gateway waits, however busy the test machine is. */
const PATIENCE_MS = 15_000
const PROFILE = { ...presetNamed('P144p30fps16x9')!, format: 'mpegts' as const }

/** An orchestrator on loopback: the real server and services, an engine that takes no time. */
export interface Victim extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly orchestrator: Orchestrator
  readonly pool: TranscoderPool
  readonly results: MemoryObjects
}

/** Starts an orchestrator to attack. */
export async function startVictim(
  options: {
    endpoint?: Partial<EndpointOptions>
    bodies?: OrchestratorEndpointOptions
    maxSessions?: number
    /** Null: remote transcoders do the work. */
    engine?: (Transcoder & { readonly sessions: number }) | null
    recipient?: Partial<Recipient>
    lookups?: SenderLookups
    log?: Log
    causes?: Causes
    needs?: Partial<OrchestratorEndpointNeeds>
  } = {},
): Promise<Victim> {
  const env = {
    clock: systemClock,
    dice: systemDice,
    log: options.log ?? silentLog,
    causes: options.causes ?? noCauses,
  }
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-victim-'))
  const results = new MemoryObjects()
  const quick: Transcoder & { readonly sessions: number } = {
    sessions: 100,
    transcode: async ({ profiles }) => ({
      decodedPixels: 1n,
      renditions: profiles.map(() => ({ bytes: Buffer.alloc(100, 'r'), pixels: 1n, perceptualHash: null })),
    }),
  }
  const capabilities = defaultCapabilities('1.0.0')
  const uri = { serviceUri: 'https://127.0.0.1:8935' }
  const pool = new TranscoderPool(
    { ...uri, secret: SECRET, orchestrator: 'offchain', capabilities },
    {
      ...{ ...env, local: options.engine === undefined ? quick : options.engine, sources: results },
      events: eventsTo(),
    },
  )
  const orchestrator = new Orchestrator(
    {
      ...{ ...uri, capabilities, nodes: [], offchain: true, recipient: null, version: '1.0.0' },
      maxSessions: options.maxSessions ?? 10,
    },
    {
      ...{ ...env, results, transcoder: pool, authKeys: { keys: [systemDice.bytes(32)] } },
      lookups: options.lookups ?? null,
      signer: { address: ZERO_ADDRESS, sign: async () => new Uint8Array(0) },
      recipient: {
        quote: async () => ({ ticketParams: null, priceInfo: null }),
        receive: async () => {},
        admit: async () => FREE,
        ...options.recipient,
      },
      events: eventsTo(),
    },
  )
  const endpoint = new Endpoint(
    {
      ...{ name: 'service endpoint', host: '0.0.0.0', port: 0, drainMs: 100 },
      ...{ tls: { hostname: 'localhost', directory }, ...options.endpoint },
    },
    {
      ...env,
      routes: [
        new OrchestratorEndpoint(options.bodies ?? {}, {
          ...{ ...env, api: orchestrator, fetchSource: null, ...options.needs },
        }),
        new TranscoderEndpoint({}, { ...env, api: pool }),
      ],
    },
  )
  const supervisor = new Supervisor()
  for (const service of [pool, orchestrator, endpoint]) await supervisor.start(service)
  return {
    ...{ port: endpoint.port, url: `https://127.0.0.1:${endpoint.port}`, orchestrator, pool, results },
    [Symbol.asyncDispose]: async () => {
      await supervisor.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A gateway's metadata for a segment. */
export function segmentOf(bytes: Uint8Array, authToken: AuthToken | null, durationMs = 2_000): SegmentData {
  return {
    ...{ manifestId: 'stream', seq: 1n, hash: keccak256(bytes), profiles: [PROFILE], authToken, durationMs },
    ...{ sig: new Uint8Array(0), capabilities: null, calcPerceptualHash: false, storage: [], clip: null },
    forceSessionReinit: false,
  }
}

/** An auth token of the victim, from an offer. */
export async function tokenOf(
  { url }: { readonly url: string },
  address: Address = ZERO_ADDRESS,
): Promise<AuthToken> {
  const request = { address, sig: new Uint8Array(0), capabilities: null }
  const info = await new OrchestratorClient().info(
    url,
    { ...request, ignoreCapacityCheck: false },
    { timeoutMs: PATIENCE_MS },
    new AbortController().signal,
  )
  return info.authToken!
}

/**
 * Has a segment of an honest gateway processed, in its own session: returns `data`, or the text of its failure. A
 * dishonest one declares another duration.
 */
export async function serveHonest(victim: { readonly url: string }, durationMs = 2_000): Promise<string> {
  const client = new OrchestratorClient()
  const supervisor = new Supervisor()
  await supervisor.start(client)
  try {
    const body = Buffer.alloc(100_000, 'honest')
    const segment = segmentOf(body, await tokenOf(victim), durationMs)
    const { outcome } = await client.submit(
      victim.url,
      {
        ...{ body, bodyIsUri: false, payment: null, segment },
        ...{ headerTimeoutMs: PATIENCE_MS, totalTimeoutMs: PATIENCE_MS },
      },
      new AbortController().signal,
    )
    return outcome.kind === 'error' ? outcome.text : outcome.kind
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await supervisor.stop()
  }
}
