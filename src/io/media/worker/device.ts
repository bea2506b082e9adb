import { AV_HWDEVICE_TYPE_CUDA, AV_PIX_FMT_CUDA, AV_PIX_FMT_NV12 } from 'node-av/constants'
import { type Codec, type CodecContext, HardwareDeviceContext } from 'node-av/lib'
import type { Profile, VideoCodec } from '../../../domain/rendition.ts'
import { MediaError } from '../engine/media-error.ts'
import { CpuScaler, CudaScaler, type Scaler } from './scaler.ts'

/** Decodes, scales and encodes. */
export interface Device {
  /** Makes a decoder use the device if possible; called before the decoder is opened. */
  attach(decoder: CodecContext, codec: Codec): void
  /** Whether smaller pictures may be scaled from larger renditions. */
  readonly scalesInSteps: boolean
  /** Scales frames to the size of a rendition and moves them to where its encoder takes them. */
  scalerFor(profile: Profile): Scaler
  /** FFmpeg's name of the encoder for a profile. Throws `Encoder not found`. */
  encoderFor(profile: Profile): string
}

const cpuEncoders: Readonly<Record<VideoCodec, string>> = {
  h264: 'libx264',
  h265: 'libx265',
  vp8: 'libvpx',
  vp9: 'libvpx-vp9',
}

/** FFmpeg on the CPU. */
export const cpu: Device = {
  attach: () => {},
  scalesInSteps: true,
  scalerFor: () => new CpuScaler(),
  encoderFor: ({ encoder }) => {
    const name = cpuEncoders[encoder] as string | undefined
    if (name === undefined) throw new MediaError('Encoder not found')
    return name
  },
}

const cudaEncoders: Partial<Readonly<Record<VideoCodec, string>>> = { h264: 'h264_nvenc', h265: 'hevc_nvenc' }

/**
 * An Nvidia GPU. What it cannot decode or encode is done on the CPU, because many data centre GPUs have decoders only.
 * The context is kept; the objects of a segment are opened anew each time (transcoding.md §14.12).
 */
export class CudaDevice implements Device, Disposable {
  readonly scalesInSteps = false
  readonly #context = new HardwareDeviceContext()
  readonly #decodes: ReadonlySet<string>
  readonly #encoders: ReadonlySet<VideoCodec>

  /**
   * Opens the first GPU visible to the process, as selected by CUDA_VISIBLE_DEVICES. `decodes`, by FFmpeg's names, and
   * `encodes` are what to use it for. Throws `No such device` (transcoding.md §5).
   */
  constructor({ decodes, encodes }: { decodes: readonly string[]; encodes: readonly VideoCodec[] }) {
    this.#decodes = new Set(decodes)
    this.#encoders = new Set(encodes)
    if (this.#context.create(AV_HWDEVICE_TYPE_CUDA, '0', null) < 0) throw new MediaError('No such device')
  }

  attach(decoder: CodecContext, codec: Codec): void {
    if (!this.#decodes.has(codec.name ?? '') || !codec.isHardwareAcceleratedDecoder(AV_HWDEVICE_TYPE_CUDA))
      return
    decoder.threadCount = 1
    decoder.hwDeviceCtx = this.#context
    decoder.setHardwarePixelFormat(AV_PIX_FMT_CUDA, AV_PIX_FMT_NV12)
    decoder.extraHWFrames = EXTRA_FRAMES
  }

  scalerFor(profile: Profile): Scaler {
    return new CudaScaler({ staysOnDevice: this.#encodes(profile) })
  }

  encoderFor(profile: Profile): string {
    return this.#encodes(profile) ? cudaEncoders[profile.encoder]! : cpu.encoderFor(profile)
  }

  [Symbol.dispose](): void {
    this.#context.free()
  }

  /** FFmpeg's NVENC crashes on streams with key frames only (transcoding.md §5). */
  #encodes({ encoder, gopMs }: Profile): boolean {
    return gopMs >= 0 && this.#encoders.has(encoder) && cudaEncoders[encoder] !== undefined
  }
}

/** Decoded frames in the queues of renditions occupy surfaces of the decoder's pool. */
const EXTRA_FRAMES = 24
