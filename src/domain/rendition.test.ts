import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatHex } from '../lib/bytes.ts'
import { NodeError } from '../lib/errors.ts'
import {
  extensionOf,
  mimeTypeOf,
  parseProfile,
  parseProfiles,
  presetNamed,
  presets,
  withFormat,
} from './rendition.ts'
import { profileId } from './signed-hashes.ts'

// transcoding.md §2.2
const table: [name: string, size: string, bitrate: number, fps: number, id: string][] = [
  ['P720p60fps16x9', '1280x720', 6_000_000, 60, 'a7ac137a'],
  ['P720p30fps16x9', '1280x720', 4_000_000, 30, '49d54ea9'],
  ['P720p25fps16x9', '1280x720', 3_500_000, 25, 'e4a64019'],
  ['P720p30fps4x3', '960x720', 3_500_000, 30, '79332fe7'],
  ['P576p30fps16x9', '1024x576', 1_500_000, 30, '5ecf4b52'],
  ['P576p25fps16x9', '1024x576', 1_500_000, 25, '8b1843d6'],
  ['P360p30fps16x9', '640x360', 1_200_000, 30, '93c717e7'],
  ['P360p25fps16x9', '640x360', 1_000_000, 25, '7cd40fc7'],
  ['P360p30fps4x3', '480x360', 1_000_000, 30, 'b60382a0'],
  ['P240p30fps16x9', '426x240', 600_000, 30, 'c0a6517a'],
  ['P240p25fps16x9', '426x240', 600_000, 25, '1301a7d0'],
  ['P240p30fps4x3', '320x240', 600_000, 30, 'd435c53a'],
  ['P144p30fps16x9', '256x144', 400_000, 30, 'fca40bf9'],
]

describe('presets', () => {
  it('are the thirteen of the network, with their sizes, rates and ids', () => {
    assert.deepEqual(
      presets.map((p) => [
        p.name,
        `${p.width}x${p.height}`,
        p.bitrate,
        p.fps,
        formatHex(profileId(p.name)).slice(2),
      ]),
      table,
    )
  })

  it('leave container, encoder profile and key frame interval open', () => {
    for (const { format, profile, gopMs, encoder, fpsDen } of presets) {
      assert.deepEqual([format, profile, gopMs, encoder, fpsDen], ['none', 'none', 0, 'h264', 0])
    }
  })

  it('cannot be chosen by other names, including the one that only has an id', () => {
    assert.equal(presetNamed('P144p25fps16x9'), null)
    assert.equal(formatHex(profileId('P144p25fps16x9')), '0x03f01d1f')
    assert.equal(presetNamed('p720p30fps16x9'), null)
    assert.equal(presetNamed('constructor'), null)
    assert.equal(presetNamed('P720p30fps16x9')?.height, 720)
  })
})

describe('format', () => {
  it('gives extension and MIME type, MPEG-TS if none is set', () => {
    assert.deepEqual([extensionOf('none'), extensionOf('mpegts'), extensionOf('mp4')], ['.ts', '.ts', '.mp4'])
    assert.deepEqual(
      [mimeTypeOf('none'), mimeTypeOf('mpegts'), mimeTypeOf('mp4')],
      ['video/mp2t', 'video/mp2t', 'video/mp4'],
    )
  })

  it('is taken from the upload only if the profile has none', () => {
    assert.equal(withFormat(presets[0]!, 'mp4').format, 'mp4')
    assert.equal(withFormat({ ...presets[0]!, format: 'mpegts' }, 'mp4').format, 'mpegts')
  })
})

describe('profile JSON', () => {
  it('reads every field', () => {
    const json = {
      name: 'half',
      width: 80,
      height: 60,
      bitrate: 50000,
      fps: 15000,
      fpsDen: 1001,
      profile: 'H264Baseline',
      gop: '1.0',
      encoder: 'HEVC',
      colorDepth: 2,
      chromaFormat: 1,
      quality: 23,
      somethingElse: {},
    }
    assert.deepEqual(parseProfile(json), {
      name: 'half',
      width: 80,
      height: 60,
      bitrate: 50000,
      fps: 15000,
      fpsDen: 1001,
      format: 'none',
      profile: 'baseline',
      gopMs: 1000,
      encoder: 'h265',
      colorDepth: 2,
      chromaFormat: '422',
      quality: 23,
    })
  })

  it('has a default for every field, also for null, and names an unnamed profile', () => {
    const expected = {
      name: 'custom_0x0_0',
      width: 0,
      height: 0,
      bitrate: 0,
      fps: 0,
      fpsDen: 0,
      format: 'none',
      profile: 'none',
      gopMs: 0,
      encoder: 'h264',
      colorDepth: 0,
      chromaFormat: '420',
      quality: 0,
    }
    assert.deepEqual(parseProfile({}), expected)
    assert.deepEqual(parseProfile({ name: null, width: null, gop: null, profile: null }), expected)
    assert.equal(parseProfile({ width: 640, height: 360, bitrate: 1000000 }).name, 'custom_640x360_1000000')
  })

  it('accepts keys in any case', () => {
    assert.equal(parseProfile({ FPSDEN: 1001, fps: 30000 }).fpsDen, 1001)
  })

  const gops: [text: string, ms: number][] = [
    ['', 0],
    ['intra', -1],
    ['0', 0],
    ['0.3', 300],
    ['1.001', 1001],
    ['2', 2000],
    ['2.5e0', 2500],
    ['.5', 500],
  ]
  for (const [text, ms] of gops) {
    it(`reads the key frame interval ${JSON.stringify(text)} as ${ms} ms`, () => {
      assert.equal(parseProfile({ gop: text }).gopMs, ms)
    })
  }

  const encoderProfiles = {
    '': 'none',
    None: 'none',
    h264main: 'main',
    H264High: 'high',
    H264CONSTRAINEDHIGH: 'constrained-high',
  }
  for (const [text, profile] of Object.entries(encoderProfiles)) {
    it(`reads the encoder profile ${JSON.stringify(text)} as ${profile}`, () => {
      assert.equal(parseProfile({ profile: text }).profile, profile)
    })
  }

  const refused: [json: unknown, sentence: string][] = [
    [{}, 'transcoding profiles are a JSON array of objects'],
    [null, 'transcoding profiles are a JSON array of objects'],
    [['P720p30fps16x9'], 'profile 1: not a JSON object'],
    [[{}, []], 'profile 2: not a JSON object'],
    [[{ width: '640' }], 'profile 1: "width" must be a whole number from 0 to 16384, not "640"'],
    [[{ width: 640.5 }], 'profile 1: "width" must be a whole number from 0 to 16384, not 640.5'],
    [[{ height: -1 }], 'profile 1: "height" must be a whole number from 0 to 16384, not -1'],
    [[{ bitrate: '600k' }], 'profile 1: "bitrate" must be a whole number from 0 to 2147483647, not "600k"'],
    [[{ fps: -30 }], 'profile 1: "fps" must be a whole number from 0 to 4294967295, not -30'],
    [[{ gop: 2 }], 'profile 1: "gop" must be text in quotes, not 2'],
    [[{ gop: '-1' }], 'profile 1: "gop" must be "intra" or seconds such as "2.0", not "-1"'],
    [[{ gop: ' 2' }], 'profile 1: "gop" must be "intra" or seconds such as "2.0", not " 2"'],
    [[{ gop: 'Intra' }], 'profile 1: "gop" must be "intra" or seconds such as "2.0", not "Intra"'],
    [[{ gop: '1e99' }], 'profile 1: "gop" must be "intra" or seconds such as "2.0", not "1e99"'],
    [
      [{ profile: 'hevcmain' }],
      'profile 1: "profile" must be one of none, h264baseline, h264main, h264high, h264constrainedhigh, not "hevcmain"',
    ],
    [[{ encoder: 'h.264' }], 'profile 1: "encoder" must be one of H.264, HEVC, VP8, VP9, not "h.264"'],
    [[{ colorDepth: 10 }], 'profile 1: "colorDepth" must be one of 0, 2, 4, 8, not "10"'],
    [[{ chromaFormat: 3 }], 'profile 1: "chromaFormat" must be one of 0, 1, 2, not "3"'],
    [[{ name: '../up' }], 'profile 1: "name" cannot be part of a path: "../up"'],
    [[{ name: 'two\nlines' }], 'profile 1: "name" cannot be part of a path: "two\\nlines"'],
    [[{ name: 'x'.repeat(129) }], 'profile 1: "name" is longer than 128 characters'],
    [[{ name: 'a' }, { name: 'a' }], 'two profiles have the name "a": give each its own "name"'],
    [[{ fps: 30 }, { fps: 60 }], 'two profiles have the name "custom_0x0_0": give each its own "name"'],
  ]
  for (const [json, sentence] of refused) {
    it(`is refused: ${sentence}`, () => {
      assert.throws(() => parseProfiles(json), { code: 'bad-profile', message: sentence })
    })
  }

  it('gives profiles or a bad-profile error for any JSON', () => {
    const likely = fc.record(
      {
        name: fc.oneof(fc.string(), fc.jsonValue()),
        width: fc.oneof(fc.integer(), fc.jsonValue()),
        gop: fc.oneof(fc.string(), fc.double().map(String), fc.jsonValue()),
        profile: fc.oneof(fc.constantFrom('none', 'H264Main'), fc.jsonValue()),
        chromaFormat: fc.oneof(fc.nat(3), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    const property = fc.property(fc.oneof(fc.array(likely), fc.jsonValue()), (json) => {
      try {
        for (const profile of parseProfiles(json)) {
          assert.ok(profile.name !== '' && Number.isInteger(profile.gopMs) && profile.gopMs >= -1)
        }
      } catch (error) {
        assert.ok(error instanceof NodeError && error.code === 'bad-profile', String(error))
      }
    })
    fc.assert(property, { numRuns: 2000 })
  })
})
