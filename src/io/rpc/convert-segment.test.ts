import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary } from '@bufbuild/protobuf'
import { profileOf } from '../../../test/fakes/profile.ts'
import type { Profile } from '../../domain/rendition.ts'
import type { SegmentData } from '../../domain/segment.ts'
import { decodeSegment, encodeSegment, readSegment } from './convert-segment.ts'
import * as wire from './gen/lp_rpc_pb.ts'

const PROFILE = profileOf({ name: 'P', width: 640, height: 360, bitrate: 600_000, fps: 30, fpsDen: 0 })
const SEGMENT: SegmentData = {
  manifestId: 'stream',
  seq: 0n,
  hash: new Uint8Array(32).fill(7),
  profiles: [PROFILE],
  sig: new Uint8Array(65).fill(1),
  durationMs: 2000,
  capabilities: null,
  authToken: null,
  calcPerceptualHash: false,
  storage: [],
  clip: null,
  forceSessionReinit: false,
}

test('profiles are sent in the one list that every peer reads', () => {
  const lists = (profiles: Profile[]) => {
    const message = fromBinary(wire.SegDataSchema, encodeSegment({ ...SEGMENT, profiles }))
    return [message.fullProfiles.length, message.fullProfiles2.length, message.fullProfiles3.length]
  }
  const cases: [string, Partial<Profile>[], number[]][] = [
    ['all MPEG-TS and plain', [{}, {}], [2, 0, 0]],
    ['a container not chosen', [{ format: 'none' }], [1, 0, 0]],
    ['one MP4', [{}, { format: 'mp4' }], [0, 2, 0]],
    ['one with a frame rate denominator', [{}, { fpsDen: 1001 }], [0, 0, 2]],
    ['one with an encoder profile', [{ profile: 'high' }, { format: 'mp4' }], [0, 0, 2]],
    ['one with key frames only', [{ gopMs: -1 }], [0, 0, 1]],
    ['none at all', [], [0, 0, 0]],
  ]
  for (const [name, changes, expected] of cases) {
    assert.deepEqual(lists(changes.map((change) => ({ ...PROFILE, ...change }))), expected, name)
  }
})

test('the first non-empty profile list is read: 3, then 2, then 1', () => {
  const named = (name: string) =>
    [{ ...PROFILE, name, format: 0, profile: 0, encoder: 0, chromaFormat: 0 }] as never[]
  const read = (lists: object) =>
    readSegment(create(wire.SegDataSchema, { ...lists })).profiles.map(({ name }) => name)
  assert.deepEqual(read({ fullProfiles: named('1'), fullProfiles2: named('2'), fullProfiles3: named('3') }), [
    '3',
  ])
  assert.deepEqual(read({ fullProfiles: named('1'), fullProfiles2: named('2') }), ['2'])
  assert.deepEqual(read({ fullProfiles: named('1') }), ['1'])
  assert.deepEqual(read({}), [])
})

test('an unnamed profile is sent and read under a name made of its size', () => {
  const sent = fromBinary(
    wire.SegDataSchema,
    encodeSegment({ ...SEGMENT, profiles: [{ ...PROFILE, name: '' }] }),
  )
  assert.equal(sent.fullProfiles[0]?.name, 'ffmpeg_640x360_600000')
  sent.fullProfiles[0]!.name = ''
  assert.equal(readSegment(sent).profiles[0]?.name, 'net_640x360_600000')
})

test('a segment survives a round trip, except for colour depth and chroma', () => {
  const segment: SegmentData = {
    ...SEGMENT,
    seq: 2n ** 40n,
    durationMs: 300_000,
    profiles: [
      {
        ...PROFILE,
        format: 'mp4',
        profile: 'constrained-high',
        gopMs: -1,
        encoder: 'vp9',
        quality: 23,
        fpsDen: 2,
      },
    ],
    capabilities: {
      bitstring: [2n ** 54n, 2n ** 15n, 0n, 3n],
      mandatories: [1n],
      capacities: new Map([
        [0, 1],
        [26, 4],
      ]),
      version: '0.9.1',
      minVersion: '0.8.0',
      perCapability: new Map([
        [27, new Map([['__proto__', { warm: true, capacity: 1, runnerVersion: '1', capacityInUse: 2 }]])],
      ]),
    },
    authToken: { token: Uint8Array.of(1), sessionId: 'abcd', expiration: 1n },
    calcPerceptualHash: true,
    storage: [
      { kind: 'direct', s3: null },
      {
        kind: 's3',
        s3: { host: 'h', key: 'k', policy: 'p', signature: 's', credential: 'c', xAmzDate: 'd' },
      },
    ],
    clip: { fromMs: 0n, toMs: 1000n },
    forceSessionReinit: true,
  }
  const message = fromBinary(wire.SegDataSchema, encodeSegment(segment))
  assert.equal(Buffer.from(message.profiles).toString(), 'invalid')
  assert.deepEqual(decodeSegment(encodeSegment(segment)), segment)
  const deep = { ...PROFILE, colorDepth: 2, chromaFormat: '444' } as const
  assert.deepEqual(decodeSegment(encodeSegment({ ...SEGMENT, profiles: [deep] })).profiles, [PROFILE])
})
