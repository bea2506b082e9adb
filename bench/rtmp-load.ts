import { MESSAGE, type Message } from '../src/io/rtmp/chunks.ts'
import { publishing } from '../test/net/rtmp.ts'
import { RtmpClient } from '../test/net/rtmp-client.ts'

/** Pictures of a segment. */
const PICTURES = 4
/** An H.264 decoder configuration with the smallest of parameter sets. */
const CONFIG = [0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 10, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68]
const KEY = { frame: 0x17, nal: 0x65 }
const OTHER = { frame: 0x27, nal: 0x41 }

/** Publishes segments of several streams to a gateway over RTMP. */
export class RtmpLoad {
  readonly #port: number
  readonly #durationMs: number
  readonly #picture: Uint8Array
  readonly #streams = new Map<string, { readonly client: RtmpClient; nextMs: number }>()

  /** A segment has about as many bytes as `segment`. */
  constructor(port: number, load: { readonly segment: Uint8Array; readonly durationMs: number }) {
    this.#port = port
    this.#durationMs = load.durationMs
    this.#picture = load.segment.subarray(0, load.segment.length / PICTURES)
  }

  /** Sends the stream's next segment, beginning it with the first; the gateway knows its end by the one after it. */
  async push(stream: string): Promise<void> {
    const { client, nextMs } = this.#streams.get(stream) ?? (await this.#begin(stream))
    const stepMs = this.#durationMs / PICTURES
    client.say(
      ...Array.from({ length: PICTURES }, (_, i) =>
        this.#message(nextMs + i * stepMs, i === 0 ? KEY : OTHER),
      ),
    )
    this.#streams.get(stream)!.nextMs = nextMs + this.#durationMs
    if (client.isClosed) throw new Error(`the gateway closed the connection of ${stream}`)
  }

  close(): void {
    for (const { client } of this.#streams.values()) client.socket.destroy()
  }

  async #begin(stream: string): Promise<{ client: RtmpClient; nextMs: number }> {
    const client = await RtmpClient.open(this.#port)
    const begun = { client, nextMs: 0 }
    this.#streams.set(stream, begun)
    await client.begin(...publishing('live', stream))
    await client.hears('NetStream.Publish.Start')
    client.say(video(0, CONFIG))
    return begun
  }

  #message(timestamp: number, { frame, nal }: typeof KEY): Message {
    const head = Buffer.from([frame, 1, 0, 0, 0, 0, 0, 0, 0, nal])
    head.writeUInt32BE(this.#picture.length + 1, 5)
    return video(timestamp, Buffer.concat([head, this.#picture]))
  }
}

function video(timestamp: number, payload: Iterable<number>): Message {
  return { type: MESSAGE.video, streamId: 1, timestamp, payload: Uint8Array.from(payload) }
}
