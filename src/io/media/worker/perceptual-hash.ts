import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants'
import { FilterGraph, Frame } from 'node-av/lib'
import { check, isDrained } from './ffmpeg.ts'
import type { Size } from './output-size.ts'
import type { TimeBase } from './time-base.ts'

/**
 * The MPEG-7 signature of a rendition, computed from its frames before encoding. Peers compare it with the signature of
 * the same segment made elsewhere (transcoding.md §8). The filter only writes files, so it gets its own folder.
 */
export class PerceptualHash implements Disposable {
  readonly size: Size
  readonly #folder = mkdtempSync(join(tmpdir(), 'signature-'))
  readonly #graph = new FilterGraph()
  readonly #out = new Frame()

  /** `unit` is the muxer's time base, which is part of the signature. */
  constructor(size: Size, unit: TimeBase, pixelFormat = 'yuv420p') {
    this.size = size
    this.#out.alloc()
    this.#graph.alloc()
    try {
      const kind = `video_size=${size.width}x${size.height}:pix_fmt=${pixelFormat}`
      const source = `buffer@in=${kind}:time_base=${unit.num}/${unit.den}`
      const filter = `signature=format=binary:filename=${escaped(this.#file)}`
      check(this.#graph.parsePtr(`${source},${filter},buffersink@out`, null, null))
      check(this.#graph.configSync())
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Adds a frame shown at `pts`; the caller keeps it. */
  add(frame: Frame, pts: bigint): void {
    frame.pts = pts
    check(this.#graph.getFilter('buffer@in')!.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF))
    this.#drain()
  }

  /** The signature of all frames. */
  finish(): Uint8Array {
    check(this.#graph.getFilter('buffer@in')!.buffersrcAddFrameSync(null))
    this.#drain()
    return new Uint8Array(readFileSync(this.#file))
  }

  [Symbol.dispose](): void {
    this.#graph.free()
    this.#out.free()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #file(): string {
    return join(this.#folder, 'signature.bin')
  }

  #drain(): void {
    const sink = this.#graph.getFilter('buffersink@out')!
    while (!isDrained(sink.buffersinkGetFrameSync(this.#out))) this.#out.unref()
  }
}

/** Escapes a path twice: as an option's value, and as part of a graph's text. */
function escaped(path: string): string {
  return path.replace(/[\\':]/g, '\\$&').replace(/[\\'[\],;]/g, '\\$&')
}
