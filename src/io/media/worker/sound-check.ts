import { AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants'
import { Codec, CodecContext, Frame, type Packet, type Stream } from 'node-av/lib'
import type { SoundState } from '../../../domain/sound-state.ts'
import { check } from './ffmpeg.ts'

/** Decodes the packets of an audio stream, only to find out whether that works. */
export class SoundCheck implements Disposable {
  readonly #decoder = new CodecContext()
  readonly #frame = new Frame()
  #isOpen = false
  #packets = 0
  #frames = 0
  #isDamaged = false

  constructor(stream: Stream) {
    this.#frame.alloc()
    const codec = Codec.findDecoder(stream.codecpar.codecId)
    if (!codec) return
    this.#decoder.allocContext3(codec)
    check(this.#decoder.parametersToContext(stream.codecpar))
    this.#decoder.pktTimebase = stream.timeBase
    this.#decoder.threadCount = 1
    this.#isOpen = this.#decoder.open2Sync(codec, null) >= 0
  }

  /** Takes the next packet, which stays the caller's. */
  async take(packet: Packet): Promise<void> {
    this.#packets++
    if (!this.#isOpen) return
    this.#note(await this.#decoder.sendPacket(packet))
    this.#decode()
  }

  /** What became of all sound, after its last packet. */
  async end(): Promise<SoundState> {
    if (this.#packets === 0) return 'none'
    if (!this.#isOpen) return 'unknown'
    await this.#decoder.sendPacket(null)
    this.#decode()
    return this.#isDamaged || this.#frames === 0 ? 'damaged' : 'whole'
  }

  [Symbol.dispose](): void {
    this.#decoder.freeContext()
    this.#frame.free()
  }

  #decode(): void {
    let result = this.#decoder.receiveFrameSync(this.#frame)
    for (; result >= 0; result = this.#decoder.receiveFrameSync(this.#frame)) {
      this.#frames++
      this.#frame.unref()
    }
    this.#note(result)
  }

  #note(result: number): void {
    if (result < 0 && result !== AVERROR_EAGAIN && result !== AVERROR_EOF) this.#isDamaged = true
  }
}
