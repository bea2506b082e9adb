import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { partsOf } from '../devnet/publisher.ts'

/** Pushes segments of several streams to a gateway over kept connections and measures each one. */
export class PushLoad {
  readonly #gateway: URL
  readonly #segment: Uint8Array
  readonly #durationMs: number
  readonly #renditions: number
  /** A pusher keeps its connection; each stream has its own, so that none waits for another. */
  readonly #agent = new Agent({ keepAlive: true })
  readonly #next = new Map<string, number>()

  /** `renditions` is the number that must come back. */
  constructor(
    gateway: string,
    load: { readonly segment: Uint8Array; readonly durationMs: number; readonly renditions: number },
  ) {
    this.#gateway = new URL(gateway)
    this.#segment = load.segment
    this.#durationMs = load.durationMs
    this.#renditions = load.renditions
  }

  /**
   * Each stream pushes a segment every `everyMs`, with the streams evenly spread; later only if the previous one is
   * late.
   */
  async paced(streams: number, options: { forMs: number; everyMs: number }): Promise<number[]> {
    const took: number[] = []
    const started = performance.now()
    const end = started + options.forMs
    await this.#all(streams, async (stream, index) => {
      for (let due = started + (index * options.everyMs) / streams; due < end; due += options.everyMs) {
        await sleep(Math.max(0, due - performance.now()))
        took.push(await this.push(stream))
      }
    })
    return took
  }

  /** Each stream pushes its next segment as soon as the last one has come back. */
  async unpaced(streams: number, options: { forMs: number }): Promise<number[]> {
    const took: number[] = []
    const end = performance.now() + options.forMs
    await this.#all(streams, async (stream) => {
      while (performance.now() < end) took.push(await this.push(stream))
    })
    return took
  }

  /** Pushes the stream's next segment; resolves with the milliseconds until all renditions have arrived. */
  async push(stream: string): Promise<number> {
    const seq = this.#next.get(stream) ?? 0
    this.#next.set(stream, seq + 1)
    const started = performance.now()
    const { status, contentType, body } = await this.#put(`/live/${stream}/${seq}.ts`)
    const tookMs = performance.now() - started
    if (status !== 200 || partsOf(contentType, body).length !== this.#renditions) {
      throw new Error(
        `segment ${seq} of ${stream} was answered with ${status}: ${body.toString().slice(0, 300)}`,
      )
    }
    return tookMs
  }

  close(): void {
    this.#agent.destroy()
  }

  async #all(streams: number, run: (stream: string, index: number) => Promise<void>): Promise<void> {
    await Promise.all(Array.from({ length: streams }, (_, index) => run(`load${index}`, index)))
  }

  #put(path: string): Promise<{ status: number; contentType: string; body: Buffer }> {
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number
      contentType: string
      body: Buffer
    }>()
    const { hostname, port } = this.#gateway
    const headers = {
      accept: 'multipart/mixed',
      'content-duration': String(this.#durationMs),
      'content-length': String(this.#segment.length),
    }
    const push = request({ hostname, port, path, method: 'PUT', agent: this.#agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers: fields } = response
        resolve({ status, contentType: fields['content-type'] ?? '', body: Buffer.concat(chunks) })
      })
    })
    push.on('error', reject)
    push.end(this.#segment)
    return promise
  }
}
