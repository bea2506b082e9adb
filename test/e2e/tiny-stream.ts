import { writeFile } from 'node:fs/promises'
import { type Pushed, pushSegment } from '../../devnet/publisher.ts'
import { makeSegment } from '../media/media.ts'

/** The smallest picture that H.264 encoders accept, so that tests load the network and not the machine. */
const SIZE = { width: 160, height: 90 }
const DURATION_MS = 1_000
const FPS = 10
/** Between a stream's segments: several times as fast as a live stream, and a machine of two cores is not full of it. */
const PAUSE_MS = 250

/** Flags for both ends with which each tiny segment costs about one ticket and almost every ticket wins. */
export const EVERY_TICKET_WINS = {
  orchestrator: [
    ...['-pricePerUnit', '70000000000', '-ticketEV', '10000000000000000'],
    // One wei above the expected value: the network refuses a face value that is not above it.
    ...['-maxFaceValue', '10000000000000001'],
  ],
}

/** Writes the `-transcodingOptions` file for the tiny segments. */
export async function writeTinyProfiles(path: string): Promise<string> {
  const profile = { name: 'tiny', ...SIZE, bitrate: 50_000, fps: FPS }
  await writeFile(path, JSON.stringify([profile]))
  return path
}

/** Pushes tiny segments to several streams, each in sequence with pauses, until stopped. */
export class TinyLoad implements AsyncDisposable {
  readonly pushed: Pushed[] = []
  readonly #gateway: string
  readonly #streams: Promise<void>[] = []
  #stopping = false

  private constructor(gateway: string) {
    this.#gateway = gateway
  }

  static async start(
    gateway: string,
    streams: number,
    options: { pauseMs?: number /** Number of the first stream. */; from?: number; durationMs?: number } = {},
  ): Promise<TinyLoad> {
    const load = new TinyLoad(gateway)
    const { durationMs = DURATION_MS, from = 0, pauseMs = PAUSE_MS } = options
    const bytes = await makeSegment({ ...SIZE, fps: FPS, durationMs })
    for (let i = 0; i < streams; i++) {
      load.#streams.push(load.#push(`tiny${i + from}`, { bytes, durationMs }, pauseMs))
    }
    return load
  }

  /** Segments whose renditions were returned. */
  get served(): number {
    return this.pushed.filter(({ status, renditions }) => status === 200 && renditions.length === 1).length
  }

  /** Waits for running pushes. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#streams)
  }

  /** A failed test must not continue to push. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #push(
    stream: string,
    content: { readonly bytes: Uint8Array; readonly durationMs: number },
    pauseMs: number,
  ): Promise<void> {
    for (let seq = 0; !this.#stopping; seq++) {
      const segment = { seq, ...content }
      const failed = (error: unknown): Pushed => ({
        seq,
        status: 0,
        renditions: [],
        tookMs: 0,
        text: String(error),
      })
      const pushed = await pushSegment(this.#gateway, stream, segment).catch(failed)
      this.pushed.push(pushed)
      // A refused push returns at once: without a pause a dead orchestrator would get thousands of requests.
      await new Promise((resolve) => setTimeout(resolve, pushed.status === 200 ? pauseMs : 100))
    }
  }
}
