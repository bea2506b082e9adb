import { setTimeout as sleep } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Profile } from '../../src/domain/rendition.ts'
import type { OrchestratorInfo } from '../../src/domain/segment.ts'
import { readInfo, writeInfoRequest } from '../../src/io/rpc/convert-info.ts'
import { decodeTranscodeResult } from '../../src/io/rpc/convert-result.ts'
import { OrchestratorInfoSchema, OrchestratorRequestSchema } from '../../src/io/rpc/gen/lp_rpc_pb.ts'
import { formatSegmentHeader, SEGMENT_CONTENT_TYPE, SEGMENT_HEADER } from '../../src/io/rpc/headers.ts'
import { ZERO_ADDRESS } from '../../src/lib/crypto.ts'
import { grpcFrame } from '../net/grpc.ts'
import { segmentOf } from './endpoint.ts'
import { type GoAnswer, GoHttpClient } from './go-http-client.ts'

/** An orchestrator's call takes this long at most, and a segment several times its duration. */
const CALL_MS = 8_000
const SEGMENT_MS = 10_000
const DOWNLOAD_MS = 4_000

/**
 * A gateway with the habits of Go's towards one address, offchain: calls, segments and downloads over one connection. A
 * session is given up at the first cut, empty or other than good answer, and a new one asked for; nothing is sent twice but
 * what `GoHttpClient` sends again.
 */
export class GoGateway implements AsyncDisposable {
  readonly client: GoHttpClient
  /** Segments that came back with all their renditions. */
  served = 0
  /** Why segments failed. */
  readonly failures: string[] = []
  /** Awaited before a rendition is fetched, with its path. */
  beforeDownload: (path: string) => Promise<void> = async () => {}
  /** Segments that are under way, from the offer to the last rendition. */
  underWay = 0
  /** Segments that were begun. */
  begun = 0
  /** Renditions by the node that held them. */
  readonly holders = new Map<string, number>()

  constructor(origin: string) {
    this.client = new GoHttpClient(origin)
  }

  /** Sends segments of one stream, one each `paceMs`, until the signal is aborted. */
  async stream(
    name: string,
    {
      bytes,
      durationMs,
      paceMs,
      profiles,
    }: {
      readonly bytes: Uint8Array
      readonly durationMs: number
      readonly paceMs: number
      readonly profiles: readonly Profile[]
    },
    signal: AbortSignal,
  ): Promise<void> {
    let info: OrchestratorInfo | null = null
    for (let seq = 0n; !signal.aborted; seq++) {
      const startMs = performance.now()
      this.underWay++
      this.begun++
      try {
        info ??= await this.#discover()
        info = await this.#send(
          { ...segmentOf(bytes, seq), manifestId: name, durationMs, profiles },
          bytes,
          info,
        )
        this.served++
      } catch (error) {
        this.failures.push(
          `${new Date().toISOString()} ${name} ${seq}: ${error instanceof Error ? error.message : error}`,
        )
        info = null
      } finally {
        this.underWay--
      }
      await sleep(Math.max(0, paceMs - (performance.now() - startMs)))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]()
  }

  async #discover(): Promise<OrchestratorInfo> {
    const request = { address: ZERO_ADDRESS, sig: new Uint8Array(65), capabilities: null }
    const message = create(
      OrchestratorRequestSchema,
      writeInfoRequest({ ...request, ignoreCapacityCheck: false }),
    )
    const answer = await this.client.send(
      {
        path: '/net.Orchestrator/GetOrchestrator',
        headers: { 'content-type': 'application/grpc', te: 'trailers' },
        body: grpcFrame(toBinary(OrchestratorRequestSchema, message)),
      },
      CALL_MS,
    )
    const fields = { ...answer.headers, ...answer.trailers }
    if (fields['grpc-status'] !== '0') throw new Error(`no offer: ${fields['grpc-message']}`)
    return readInfo(fromBinary(OrchestratorInfoSchema, answer.body.subarray(5)))
  }

  async #send(
    segment: ReturnType<typeof segmentOf>,
    bytes: Uint8Array,
    info: OrchestratorInfo,
  ): Promise<OrchestratorInfo> {
    const header = formatSegmentHeader({ ...segment, authToken: info.authToken })
    const headers = { [SEGMENT_HEADER.toLowerCase()]: header, 'content-type': SEGMENT_CONTENT_TYPE }
    const answer = good(await this.client.send({ path: '/segment', headers, body: bytes }, SEGMENT_MS))
    const { info: next, outcome } = decodeTranscodeResult(answer.body)
    if (outcome.kind !== 'data') throw new Error(outcome.kind === 'error' ? outcome.text : 'no result')
    await Promise.all(
      outcome.renditions.map(async ({ url }) => {
        const { pathname } = new URL(url)
        await this.beforeDownload(pathname)
        good(await this.client.send({ path: pathname }, DOWNLOAD_MS))
        const holder = pathname.split('/')[2]!
        this.holders.set(holder, (this.holders.get(holder) ?? 0) + 1)
      }),
    )
    return next ?? info
  }
}

function good(answer: GoAnswer): GoAnswer {
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.toString().trim()}`)
  if (answer.body.length === 0) throw new Error('an empty answer')
  return answer
}
