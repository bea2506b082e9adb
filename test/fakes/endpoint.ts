import { mkdtempSync, rmSync } from 'node:fs'
import { request as http1Request } from 'node:http'
import { connect as http2Connect } from 'node:http2'
import { type Socket, connect as tcpConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import type { InfoRequest, OrchestratorInfo, SegmentData, TranscodeResult } from '../../src/domain/segment.ts'
import type { Payment } from '../../src/domain/ticket.ts'
import type { Routes } from '../../src/io/rpc/calls.ts'
import {
  type OrchestratorApi,
  OrchestratorEndpoint,
  type OrchestratorEndpointNeeds,
  type OrchestratorEndpointOptions,
} from '../../src/io/rpc/orchestrator-endpoint.ts'
import { Endpoint } from '../../src/io/rpc/server.ts'
import { keccak256, ZERO_ADDRESS } from '../../src/lib/crypto.ts'
import { hostAndPort } from '../../src/lib/hosts.ts'
import { type Log, silentLog } from '../../src/lib/log.ts'
import { Supervisor } from '../../src/lib/service.ts'
import type { Admission, Caller } from '../../src/services/orchestrator/orchestrator.ts'

/** An info of which a test changes the relevant part. */
export const INFO: OrchestratorInfo = {
  transcoder: 'https://127.0.0.1:8935',
  ticketParams: null,
  priceInfo: null,
  address: ZERO_ADDRESS,
  capabilities: null,
  authToken: { token: Uint8Array.of(1), sessionId: 'abcd', expiration: 1n },
  storage: [],
  nodes: [],
}

/** The metadata of a segment with these bytes. */
export function segmentOf(bytes: Uint8Array, seq = 7n): SegmentData {
  return {
    manifestId: 'stream',
    seq,
    hash: keccak256(bytes),
    profiles: [],
    sig: new Uint8Array(65),
    durationMs: 2000,
    capabilities: null,
    authToken: null,
    calcPerceptualHash: false,
    storage: [],
    clip: null,
    forceSessionReinit: false,
  }
}

/** An orchestrator that accepts everything and counts. */
export class FakeOrchestratorApi implements OrchestratorApi {
  admitted: { segment: SegmentData; payment: Payment | null; host?: string | null }[] = []
  sources: Uint8Array[] = []
  released = 0
  aborted = 0
  ended: string[] = []
  readonly files = new Map<string, Uint8Array>()
  onAdmit: (payment: Payment | null) => Promise<void> = async () => {}
  onPay: () => Promise<OrchestratorInfo | null> = async () => INFO
  onInfo: (signal: AbortSignal) => Promise<OrchestratorInfo> = async () => INFO
  onTranscode: (source: Uint8Array, signal: AbortSignal) => Promise<void> = async () => {}

  async ping(value: Uint8Array): Promise<Uint8Array> {
    return keccak256(value)
  }

  info(_: InfoRequest, { signal }: Caller): Promise<OrchestratorInfo> {
    return this.onInfo(signal)
  }

  async endSession(token: { sessionId: string } | null): Promise<void> {
    this.ended.push(token?.sessionId ?? 'none')
  }

  async admit(
    segment: SegmentData,
    payment: Payment | null,
    { host }: Partial<Caller> = {},
  ): Promise<Admission> {
    await this.onAdmit(payment)
    this.admitted.push({ segment, payment, ...(host !== undefined && { host }) })
    return {
      transcode: async (source, signal): Promise<TranscodeResult> => {
        this.sources.push(source)
        signal.addEventListener('abort', () => this.aborted++)
        await this.onTranscode(source, signal)
        return { seq: segment.seq, info: INFO, outcome: { kind: 'error', text: 'OrchestratorBusy' } }
      },
      release: () => void this.released++,
    }
  }

  pay(): Promise<OrchestratorInfo | null> {
    return this.onPay()
  }

  async stored(path: string): Promise<Uint8Array | null> {
    return this.files.get(path) ?? null
  }
}

/** An orchestrator's port on loopback. */
export interface RunningEndpoint extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly api: FakeOrchestratorApi
  readonly port: number
  readonly url: string
}

/** Starts a port with a fake orchestrator behind it. */
export async function startEndpoint(
  options: OrchestratorEndpointOptions & {
    plain?: boolean
    /** Any free one unless given. */
    port?: number
    /** Of the loopback; 127.0.0.1 unless given. */
    host?: string
    headersMs?: number
    /** For its end; 200 unless given. */
    drainMs?: number
    log?: Log
    /** What it serves beside. */
    routes?: readonly Routes[]
    fetchSource?: OrchestratorEndpointNeeds['fetchSource']
  } = {},
): Promise<RunningEndpoint> {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-endpoint-'))
  const api = new FakeOrchestratorApi()
  const { fetchSource = null, host = '127.0.0.1', log = silentLog } = options
  const endpoint = new Endpoint(
    {
      name: 'service endpoint',
      host,
      port: options.port ?? 0,
      tls: options.plain ? null : { hostname: 'localhost', directory },
      drainMs: options.drainMs ?? 200,
      ...(options.headersMs && { headersMs: options.headersMs }),
    },
    {
      routes: [new OrchestratorEndpoint(options, { api, fetchSource, log }), ...(options.routes ?? [])],
      log,
    },
  )
  const supervisor = new Supervisor()
  await supervisor.start(endpoint)
  return {
    api,
    endpoint,
    port: endpoint.port,
    url: `${options.plain ? 'http' : 'https'}://${hostAndPort(host, endpoint.port)}`,
    [Symbol.asyncDispose]: async () => {
      await supervisor.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** The protocols that a peer may speak. */
export const TRANSPORTS = {
  'HTTP/2': { tls: true, alpn: ['h2'], version: 2 },
  'HTTP/2 of a peer that offers both': { tls: true, alpn: ['http/1.1', 'h2'], version: 2 },
  'HTTP/2 without ALPN': { tls: true, alpn: null, version: 2 },
  'HTTP/1.1 by ALPN': { tls: true, alpn: ['http/1.1'], version: 1 },
  'HTTP/1.1 without ALPN': { tls: true, alpn: null, version: 1 },
  'plain HTTP/2': { tls: false, alpn: null, version: 2 },
  'plain HTTP/1.1': { tls: false, alpn: null, version: 1 },
} as const
export type Transport = (typeof TRANSPORTS)[keyof typeof TRANSPORTS]

/** The response to a raw request. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly trailers: Record<string, string | string[] | undefined>
  readonly body: Buffer
  /** When the headers arrived, in ms from the start. */
  readonly headersMs: number
}

/** Opens a connection without verification. */
export function openRaw(port: number, transport: Transport): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = transport.tls
      ? tlsConnect({
          host: '127.0.0.1',
          port,
          rejectUnauthorized: false,
          ...(transport.alpn && { ALPNProtocols: [...transport.alpn] }),
        })
      : tcpConnect({ host: '127.0.0.1', port })
    socket.once(transport.tls ? 'secureConnect' : 'connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

/** The fields without Node's own symbols. */
function plain(fields: object): Record<string, string> {
  return Object.fromEntries(Object.entries(fields))
}

/** Sends one request with Node's own clients, like a peer written in another language. */
export async function rawRequest(
  port: number,
  transport: Transport,
  request: { method?: string; path: string; headers?: Record<string, string>; body?: Uint8Array },
): Promise<RawAnswer> {
  const socket = await openRaw(port, transport)
  const method = request.method ?? 'GET'
  const started = performance.now()
  if (transport.version === 2) {
    const session = http2Connect('https://127.0.0.1', {
      createConnection: () => socket,
      maxSendHeaderBlockLength: 2 ** 21,
      maxSessionMemory: 1_000,
    })
    try {
      return await new Promise<RawAnswer>((resolve, reject) => {
        session.on('error', reject)
        const stream = session.request(
          { ':method': method, ':path': request.path, ...request.headers },
          { endStream: !request.body },
        )
        let head: Omit<RawAnswer, 'body' | 'trailers'> | null = null
        let trailers = {}
        const chunks: Buffer[] = []
        stream.on('response', (headers) => {
          const { ':status': status, ...rest } = headers
          head = { status: Number(status), headers: plain(rest), headersMs: performance.now() - started }
        })
        stream.on('trailers', (fields) => {
          trailers = plain(fields)
        })
        stream.on('data', (chunk) => chunks.push(chunk))
        stream.on('error', reject)
        stream.on('end', () => {
          if (head && stream.rstCode === 0) resolve({ ...head, trailers, body: Buffer.concat(chunks) })
        })
        stream.on('close', () => reject(new Error(`stream reset: ${stream.rstCode}`)))
        if (request.body) stream.end(request.body)
      })
    } finally {
      session.destroy()
    }
  }
  try {
    return await new Promise<RawAnswer>((resolve, reject) => {
      const outgoing = http1Request({
        createConnection: () => socket,
        host: '127.0.0.1',
        method,
        path: request.path,
        headers: { ...request.headers, ...(request.body && { 'content-length': request.body.length }) },
      })
      let answered = false
      outgoing.on('response', (response) => {
        answered = true
        const chunks: Buffer[] = []
        const headersMs = performance.now() - started
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            trailers: {},
            body: Buffer.concat(chunks),
            headersMs,
          }),
        )
      })
      outgoing.on('error', (error) => {
        if (!answered) reject(error)
      })
      outgoing.on('close', () => reject(new Error('closed without an answer')))
      outgoing.end(request.body)
    })
  } finally {
    socket.destroy()
  }
}
