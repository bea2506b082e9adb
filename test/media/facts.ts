import { AV_FRAME_FLAG_INTERLACED, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants'
import { avGetPixFmtName } from 'node-av/lib'
import { MemoryInput } from '../../src/io/media/worker/ffmpeg.ts'
import { framesOf } from './media.ts'

/** What a container says of its streams. */
export interface MediaFacts {
  /** In their order, with the PID in MPEG-TS. */
  readonly streams: readonly { readonly kind: string; readonly id: number }[]
  readonly pixelFormat: string
  /** How many pictures are held back to bring B-frames in order. */
  readonly reorders: number
  readonly isInterlaced: boolean
  readonly sampleAspect: { readonly num: number; readonly den: number }
}

/** Reads what a container says of its streams. */
export async function factsOf(bytes: Uint8Array): Promise<MediaFacts> {
  await using input = await MemoryInput.open(bytes)
  const { streams } = input.format
  const kinds = new Map<number, string>([
    [AVMEDIA_TYPE_VIDEO, 'video'],
    [AVMEDIA_TYPE_AUDIO, 'audio'],
  ])
  const video = streams.find(({ codecpar }) => codecpar.codecType === AVMEDIA_TYPE_VIDEO)!.codecpar
  const { num, den } = video.sampleAspectRatio
  return {
    streams: streams.map(({ codecpar, id }) => ({ kind: kinds.get(codecpar.codecType) ?? 'other', id })),
    pixelFormat: avGetPixFmtName(video.format as never) ?? '',
    reorders: video.videoDelay,
    isInterlaced: await isInterlaced(bytes),
    sampleAspect: { num, den },
  }
}

async function isInterlaced(bytes: Uint8Array): Promise<boolean> {
  for await (const frame of framesOf(bytes)) if (frame.hasFlags(AV_FRAME_FLAG_INTERLACED)) return true
  return false
}

/** The settings that x264 writes into the first picture. In MP4 their text is in one piece, in MPEG-TS it is not. */
export function h264SettingsOf(mp4: Uint8Array): Record<string, string> {
  const text = Buffer.from(mp4).toString('latin1')
  const options = text.slice(text.indexOf('options: ') + 9).match(/^[\x20-\x7e]*/)![0]
  return Object.fromEntries(options.split(' ').map((pair) => pair.split('=') as [string, string]))
}
