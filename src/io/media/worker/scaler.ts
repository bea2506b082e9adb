import { AV_BUFFERSRC_FLAG_KEEP_REF, AV_PIX_FMT_YUV420P } from 'node-av/constants'
import { Filter, type FilterContext, FilterGraph, Frame, SoftwareScaleContext } from 'node-av/lib'
import { MediaError } from '../engine/media-error.ts'
import { check, cloned } from './ffmpeg.ts'
import { isSameSize, type Size } from './output-size.ts'

/** Converts frames to 8-bit 4:2:0 of one size. */
export interface Scaler extends Disposable {
  /** A new frame, to be freed by the caller. */
  scale(source: Frame, size: Size): Promise<Frame>
}

/** Scales in main memory. */
export class CpuScaler implements Scaler {
  readonly #context = new SoftwareScaleContext()

  constructor() {
    this.#context.allocContext()
    check(this.#context.setOption('sws_flags', 'bicubic'))
  }

  async scale(source: Frame, size: Size): Promise<Frame> {
    if (isSameSize(source, size) && source.format === AV_PIX_FMT_YUV420P) return cloned(source)
    return await filled(async (scaled) => {
      check(scaled.copyProps(source))
      scaled.format = AV_PIX_FMT_YUV420P
      scaled.width = size.width
      scaled.height = size.height
      check(await this.#context.scaleFrame(scaled, source))
    })
  }

  [Symbol.dispose](): void {
    this.#context.freeContext()
  }
}

interface ScalingGraph {
  readonly graph: FilterGraph
  readonly input: FilterContext
  readonly output: FilterContext
  readonly from: Size
  readonly to: Size
}

/** Scales frames on the GPU if they are there, others in main memory. */
export class CudaScaler implements Scaler {
  readonly #staysOnDevice: boolean
  readonly #ofCpu = new CpuScaler()
  #scaling: ScalingGraph | null = null

  /** `staysOnDevice`: the encoder takes GPU frames; otherwise they are downloaded after scaling. */
  constructor(options: { staysOnDevice: boolean }) {
    this.#staysOnDevice = options.staysOnDevice
  }

  async scale(source: Frame, size: Size): Promise<Frame> {
    if (!source.isHwFrame()) return await this.#ofCpu.scale(source, size)
    const scaling = this.#graphFor(source, size)
    const scaled = await filled(async (frame) => {
      check(scaling.input.buffersrcAddFrameSync(source, AV_BUFFERSRC_FLAG_KEEP_REF))
      check(scaling.output.buffersinkGetFrameSync(frame))
    })
    if (this.#staysOnDevice) return scaled
    using held = scaled
    return await filled(async (fetched) => {
      check(await held.hwframeTransferData(fetched))
      check(fetched.copyProps(held))
    })
  }

  [Symbol.dispose](): void {
    this.#scaling?.graph.free()
    this.#ofCpu[Symbol.dispose]()
  }

  #graphFor(source: Frame, to: Size): ScalingGraph {
    const from = { width: source.width, height: source.height }
    if (this.#scaling && isSameSize(this.#scaling.from, from) && isSameSize(this.#scaling.to, to))
      return this.#scaling
    this.#scaling?.graph.free()
    this.#scaling = null
    const graph = new FilterGraph()
    graph.alloc()
    try {
      const input = graph.allocFilter(filterNamed('buffer'), 'in')!
      const { hwFramesCtx, format } = source
      check(
        input.buffersrcParametersSet({
          ...from,
          format,
          timeBase: { num: 1, den: 90_000 },
          hwFramesCtx,
        } as never),
      )
      check(input.initStr(null))
      const scale = graph.createFilter(
        filterNamed('scale_cuda'),
        'scale',
        `${to.width}:${to.height}:interp_algo=bicubic:format=yuv420p`,
      )!
      const output = graph.createFilter(filterNamed('buffersink'), 'out', null)!
      check(input.link(0, scale, 0))
      check(scale.link(0, output, 0))
      check(graph.configSync())
      this.#scaling = { graph, input, output, from, to }
      return this.#scaling
    } catch (cause) {
      graph.free()
      throw new MediaError('Error initializing filtergraph', { cause })
    }
  }
}

function filterNamed(name: string): Filter {
  const filter = Filter.getByName(name as never)
  if (!filter) throw new MediaError('Filter not found')
  return filter
}

/** Returns a new frame filled by `fill`, or frees it if that fails. */
async function filled(fill: (frame: Frame) => Promise<void>): Promise<Frame> {
  const frame = new Frame()
  frame.alloc()
  try {
    await fill(frame)
    return frame
  } catch (error) {
    frame.free()
    throw error
  }
}
