import { box, fullBox, u8, u16, u32 } from '../../src/domain/mp4/boxes.ts'

/** Frames of an MP4 that is written by hand, as FFmpeg writes a short segment: index first, one chunk of each track. */
const FRAMES = 6
const FRAME_BYTES = 40

/** A segment in MP4 with pictures and sound, whose frames hold nothing that can be decoded. */
export function tinyMp4(): Uint8Array {
  const type = box('ftyp', Buffer.from('isom', 'latin1'), u32(512), Buffer.from('isomavc1', 'latin1'))
  // The places in the file need the length of the index, which does not depend on them.
  const length = type.length + indexWith(0).length + 8
  const data = Buffer.alloc(2 * FRAMES * FRAME_BYTES, 1)
  return new Uint8Array(Buffer.concat([type, indexWith(length), box('mdat', data)]))
}

function indexWith(dataAt: number): Buffer {
  return box(
    'moov',
    fullBox('mvhd', 0, 0, u32(0, 0, 1_000, 600), Buffer.alloc(80)),
    track('vide', { timescale: 12_800, step: 1_280, dataAt, entry: pictures() }),
    track('soun', {
      ...{ timescale: 48_000, step: 4_800, entry: sound() },
      dataAt: dataAt + FRAMES * FRAME_BYTES,
    }),
  )
}

function track(
  kind: 'vide' | 'soun',
  { dataAt, entry, step, timescale }: { timescale: number; step: number; dataAt: number; entry: Buffer },
): Buffer {
  const isVideo = kind === 'vide'
  const tables = box(
    'stbl',
    fullBox('stsd', 0, 0, u32(1), entry),
    fullBox('stts', 0, 0, u32(1, FRAMES, step)),
    ...(isVideo
      ? [fullBox('ctts', 1, 0, u32(2, 1, step, FRAMES - 1, 0)), fullBox('stss', 0, 0, u32(2, 1, 4))]
      : []),
    fullBox('stsc', 0, 0, u32(2, 1, 2, 1, 2, FRAMES - 2, 1)),
    fullBox('stsz', 0, 0, u32(isVideo ? 0 : FRAME_BYTES, FRAMES), ...(isVideo ? sizes() : [])),
    fullBox('stco', 0, 0, u32(2, dataAt, dataAt + 2 * FRAME_BYTES)),
  )
  return box(
    'trak',
    fullBox('tkhd', 0, 3, Buffer.alloc(80)),
    box('edts', fullBox('elst', 0, 0, u32(2, 20, 0xffffffff), u16(1, 0), u32(600, step), u16(1, 0))),
    box(
      'mdia',
      fullBox('mdhd', 0, 0, u32(0, 0, timescale, FRAMES * step), u16(0x55c4, 0)),
      fullBox('hdlr', 0, 0, u32(0), Buffer.from(kind, 'latin1'), Buffer.alloc(13)),
      box('minf', tables),
    ),
  )
}

function sizes(): Buffer[] {
  return Array.from({ length: FRAMES }, () => u32(FRAME_BYTES))
}

function pictures(): Buffer {
  const config = box(
    'avcC',
    u8(1, 0x42, 0xc0, 10, 0xff, 0xe1),
    u16(2),
    u8(0x67, 0x42),
    u8(1),
    u16(1),
    u8(0x68),
  )
  const rates = box('btrt', u32(0, 100_000, 100_000))
  return box('avc1', Buffer.alloc(24), u16(160, 120), Buffer.alloc(50), config, rates)
}

function sound(): Buffer {
  const decoder = [4, 17, 0x40, 0x15, ...Array<number>(11).fill(9), 5, 2, 0x11, 0x90]
  const stream = u8(3, 3 + decoder.length, 0, 1, 0, ...decoder)
  return box('mp4a', Buffer.alloc(28), fullBox('esds', 0, 0, stream))
}
