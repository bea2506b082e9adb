import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  announcedVersion,
  bitsOf,
  bitstringOf,
  type Capabilities,
  capability,
  defaultCapabilities,
  isSubset,
  type JobNeeds,
  jobCapabilities,
  type Misfit,
  misfitOf,
  satisfies,
  satisfiesVersion,
  transcodingCapabilities,
  withTranscoders,
} from './capabilities.ts'
import { parseProfile, presetNamed, presets } from './rendition.ts'

const empty: Capabilities = {
  bitstring: [],
  mandatories: [],
  capacities: new Map(),
  version: '',
  minVersion: '',
  perCapability: new Map(),
}
const small = presetNamed('P144p30fps16x9')!

describe('bit string', () => {
  // wire.md §17
  const vectors: [bits: number[], words: bigint[]][] = [
    [[], []],
    [[0, 1, 2, 3, 4, 5], [63n]],
    [
      [192, 193],
      [0n, 0n, 0n, 3n],
    ],
    [
      [193, 54, 192, 79],
      [2n ** 54n, 2n ** 15n, 0n, 3n],
    ],
  ]
  for (const [bits, words] of vectors) {
    it(`of {${bits}} is [${words}]`, () => {
      assert.deepEqual(bitstringOf(bits), words)
      assert.deepEqual(
        bitsOf(words),
        bits.toSorted((a, b) => a - b),
      )
    })
  }

  it('never ends in a zero word, and round-trips', () => {
    const property = fc.property(fc.uniqueArray(fc.nat(400)), (bits) => {
      const words = bitstringOf(bits)
      assert.notEqual(words.at(-1), 0n)
      assert.deepEqual(
        bitsOf(words),
        bits.toSorted((a, b) => a - b),
      )
    })
    fc.assert(property)
  })

  const subsets: [part: bigint[], whole: bigint[], is: boolean][] = [
    [[], [], true],
    [[], [1n], true],
    [[1n], [3n], true],
    [[3n], [1n], false],
    [[1n], [1n, 5n], true],
    [[1n, 0n], [1n], false],
    [[0n, 1n], [1n], false],
  ]
  for (const [part, whole, is] of subsets) {
    it(`[${part}] is ${is ? '' : 'not '}within [${whole}]`, () => assert.equal(isSubset(part, whole), is))
  }
})

describe('offered capabilities', () => {
  it('are the word 67133439 by default, each with capacity 1', () => {
    const offered = defaultCapabilities('0.1.0')
    assert.deepEqual(offered.bitstring, [67133439n])
    assert.equal(offered.capacities.size, 15)
    assert.ok([...offered.capacities.values()].every((capacity) => capacity === 1))
    assert.equal(offered.version, '0.1.0')
    assert.deepEqual(offered.mandatories, [])
  })

  it('include what the machine was found to support, but no AI', () => {
    const added = bitsOf(transcodingCapabilities({ version: '0.1.0', found: [17, 21, 25] }).bitstring).filter(
      (bit) => !bitsOf([67133439n]).includes(bit),
    )
    assert.deepEqual(added, [17, 21, 25])
  })

  it('include HEVC decoding if it was found and is not switched off', () => {
    const has = (found: number[], hevcDecoding: boolean | null) =>
      bitsOf(transcodingCapabilities({ version: '', found, hevcDecoding }).bitstring).includes(
        capability.hevcDecode,
      )
    assert.deepEqual([has([15], null), has([15], true), has([15], false)], [true, true, false])
    assert.deepEqual([has([], null), has([], true)], [false, false])
  })
})

describe('the offer of an orchestrator with its transcoders', () => {
  const own = defaultCapabilities('0.1.0')
  it('adds up the capacities of each bit, as in the recording of a Go orchestrator', () => {
    const transcoder = {
      ...own,
      bitstring: bitstringOf([0, 1, 17]),
      capacities: new Map([
        [0, 1],
        [17, 1],
      ]),
    }
    const offered = withTranscoders(own, [transcoder, { ...transcoder, capacities: new Map() }])
    assert.deepEqual(
      [0, 1, 2, 17].map((bit) => offered.capacities.get(bit)),
      [3, 2, 1, 2],
    )
    assert.ok(bitsOf(offered.bitstring).includes(17))
    assert.equal(offered.version, '0.1.0')
    assert.deepEqual(withTranscoders(own, []), own)
  })

  it('has neither object stores nor AI because a transcoder claims them', () => {
    const bare = { ...own, bitstring: [1n], capacities: new Map([[0, 1]]) }
    const offered = withTranscoders(bare, [
      { ...own, bitstring: bitstringOf([4, 5, 6, 14, 27, 35, 40]), capacities: new Map() },
    ])
    assert.deepEqual(bitsOf(offered.bitstring), [0, 14])
  })

  it('omits a bit with a total capacity of 0', () => {
    const none = { ...own, bitstring: bitstringOf([17]), capacities: new Map([[17, 0]]) }
    assert.equal(withTranscoders(own, [none]).capacities.has(17), false)
  })
})

describe('capabilities of a job', () => {
  const tiny = parseProfile({ name: 'tiny', fps: 10, profile: 'h264main' })
  const half = parseProfile({ name: 'half', fps: 15000, fpsDen: 1001, gop: '1.0', profile: 'h264baseline' })
  const cases: [name: string, needs: JobNeeds, bits: number[]][] = [
    ['plain RTMP', { profiles: presets, push: false }, [0, 1, 12]],
    ['plain push', { profiles: presets, push: true }, [0, 1, 12, 26]],
    ['no renditions', { profiles: [], push: true }, [0, 12, 26]],
    [
      'the recorded stream of vectors/getOrchestrator.json',
      { profiles: [tiny, half], push: true, inputCodec: 'h264', pixelFormat: 'yuv420p' },
      [0, 1, 3, 7, 8, 11, 12, 26],
    ],
    ['MP4', { profiles: [{ ...small, format: 'mp4' }], push: false }, [0, 2, 12]],
    ['intra only', { profiles: [{ ...small, gopMs: -1 }], push: false }, [0, 1, 11, 12]],
    [
      'high profiles',
      {
        profiles: [
          { ...small, profile: 'high' },
          { ...small, profile: 'constrained-high' },
        ],
        push: false,
      },
      [0, 1, 9, 10, 12],
    ],
    ['HEVC in', { profiles: [small], push: false, inputCodec: 'hevc' }, [0, 1, 12, 15]],
    ['HEVC out', { profiles: [{ ...small, encoder: 'h265' }], push: false }, [0, 1, 12, 16]],
    [
      'VP8 in, VP9 out',
      { profiles: [{ ...small, encoder: 'vp9' }], push: false, inputCodec: 'vp8' },
      [1, 12, 17, 20],
    ],
    [
      'VP9 in, VP8 out',
      { profiles: [{ ...small, encoder: 'vp8' }], push: false, inputCodec: 'vp9' },
      [1, 12, 18, 19],
    ],
    ['an unknown codec', { profiles: [small], push: false, inputCodec: 'constructor' }, [0, 1, 12]],
    ['4:4:4', { profiles: [small], push: false, pixelFormat: 'yuv444p' }, [0, 1, 12, 21]],
    ['4:2:2', { profiles: [small], push: false, pixelFormat: 'yuv422p' }, [0, 1, 12, 22]],
    ['4:4:4 10 bit', { profiles: [small], push: false, pixelFormat: 'yuv444p10le' }, [0, 1, 12, 23]],
    ['4:2:2 10 bit', { profiles: [small], push: false, pixelFormat: 'yuv422p10le' }, [0, 1, 12, 24]],
    ['4:2:0 10 bit', { profiles: [small], push: false, pixelFormat: 'yuv420p10le' }, [0, 1, 12, 25]],
    ['full-range 4:2:0', { profiles: [small], push: false, pixelFormat: 'yuvj420p' }, [0, 1, 12]],
    [
      '10-bit HEVC',
      { profiles: [small], push: false, inputCodec: 'hevc', pixelFormat: 'yuv420p10le' },
      [0, 1, 12, 15],
    ],
    ['S3', { profiles: [small], push: false, storage: 's3' }, [0, 1, 5, 12]],
    ['an object store of its own', { profiles: [small], push: false, storage: 'direct' }, [0, 1, 4, 12]],
    ['Google storage', { profiles: [small], push: false, storage: 'gcs' }, [0, 1, 6, 12]],
    ['perceptual hashes', { profiles: [small], push: false, perceptualHash: true }, [0, 1, 12, 14]],
  ]
  for (const [name, needs, bits] of cases) {
    it(`with ${name} are {${bits}}`, () => assert.deepEqual(bitsOf(jobCapabilities(needs).bitstring), bits))
  }

  it('are the known words for RTMP and push (gateway.md §7)', () => {
    assert.deepEqual(jobCapabilities({ profiles: [small], push: false }).bitstring, [4099n])
    assert.deepEqual(jobCapabilities({ profiles: [small], push: true }).bitstring, [67112963n])
  })

  it('do not exist for 12 and 16 bit H.264', () => {
    const needs = { profiles: [small], push: false, pixelFormat: 'yuv422p12le' }
    assert.throws(() => jobCapabilities(needs), {
      code: 'unsupported-pixel-format',
      message: 'capability: unsupported pixel format chroma=1 colorBits=4',
    })
  })

  it('contain only bits and the minimum version', () => {
    assert.deepEqual(jobCapabilities({ profiles: [small], push: false, minVersion: '0.8.0' }), {
      ...empty,
      bitstring: [4099n],
      minVersion: '0.8.0',
    })
  })
})

describe('a node suits a job', () => {
  const job = jobCapabilities({ profiles: [small], push: true })
  const node = transcodingCapabilities({ version: '0.9.1', found: [17] })
  const models = (bit: number, name: string, constraint: { warm?: boolean; runnerVersion?: string }) =>
    new Map([
      [
        bit,
        new Map([[name, { warm: false, capacity: 0, runnerVersion: '', capacityInUse: 0, ...constraint }]]),
      ],
    ])
  const cases: [name: string, job: Capabilities, node: Capabilities | null, misfit: Misfit | null][] = [
    ['which has all bits', job, node, null],
    ['which lacks one', { ...job, bitstring: bitstringOf([0, 1, 12, 15]) }, node, 'bits'],
    ['with more words than the node', { ...job, bitstring: [...job.bitstring, 0n] }, node, 'bits'],
    ['for which the node requires more', job, { ...node, mandatories: bitstringOf([13]) }, 'mandatories'],
    ['which has what the node requires', job, { ...node, mandatories: bitstringOf([26]) }, null],
    ['with a minimum version', { ...job, minVersion: '0.9.1' }, node, null],
    ['with a later version', { ...job, minVersion: '0.9.2' }, node, 'version'],
    ['whatever minimum version the node itself requires', job, { ...node, minVersion: '9.9.9' }, null],
    ['of old bits, without capabilities', { ...job, bitstring: bitstringOf([0, 11]) }, null, null],
    ['of current bits, without capabilities', job, null, 'bits'],
    [
      'with a minimum version, without capabilities',
      { ...job, bitstring: [1n], minVersion: '0.1.0' },
      null,
      'version',
    ],
    [
      'whose model it does not list',
      { ...job, perCapability: models(30, 'a', {}) },
      { ...node, perCapability: models(30, 'b', {}) },
      'models',
    ],
    [
      'whose model must be warm',
      { ...job, perCapability: models(30, 'a', { warm: true }) },
      { ...node, perCapability: models(30, 'a', {}) },
      'models',
    ],
    [
      'whose model runs an older version',
      { ...job, perCapability: models(30, 'a', { runnerVersion: '0.2.0' }) },
      { ...node, perCapability: models(30, 'a', { runnerVersion: '0.1.9' }) },
      'models',
    ],
    [
      'whose model fits',
      { ...job, perCapability: models(30, 'a', { runnerVersion: '0.2.0' }) },
      { ...node, perCapability: models(30, 'a', { runnerVersion: '0.2.0', warm: true }) },
      null,
    ],
    ['whose pipeline it does not list', { ...job, perCapability: models(30, 'a', {}) }, node, null],
  ]
  for (const [name, wanted, offered, misfit] of cases) {
    it(`${name}: ${misfit ?? 'it fits'}`, () => {
      assert.equal(misfitOf(wanted, offered), misfit)
      assert.equal(satisfies(wanted, offered), misfit === null)
    })
  }
})

describe('version rule', () => {
  // wire.md §7
  const cases: [least: string, given: string, passes: boolean][] = [
    ['', '', true],
    ['', 'undefined', true],
    ['0.5.0', '', false],
    ['0.5.0', 'undefined', false],
    ['nonsense', '0.1.0', true],
    ['0.5.0', 'nonsense', false],
    ['0.5.0', '0.5.0', true],
    ['0.5.0', '0.5.0-dirty', true],
    ['0.5.0-b', '0.5.0-a', true],
    ['0.5.1', '0.5.0', false],
    ['0.5.9', '0.5.10', true],
    ['0.9.0', '1.0.0', true],
    ['v0.9', '0.9.1', true],
    ['1.0.0', '0.99.99', false],
  ]
  for (const [least, given, passes] of cases) {
    it(`${given || 'no version'} ${passes ? 'passes' : 'fails'} at least ${least || 'any'}`, () => {
      assert.equal(satisfiesVersion(least, given), passes)
    })
  }
})

it('a gateway that requires a minimum version of the Go node accepts this node by the release it implements', () => {
  const told = announcedVersion('0.1.0')
  assert.equal(told, '0.9.1-ts.0.1.0')
  for (const least of ['', '0.1.0', '0.8.9', '0.9.1', 'v0.9.1-rc1'])
    assert.ok(satisfiesVersion(least, told), least)
  for (const least of ['0.9.2', '1.0.0']) assert.ok(!satisfiesVersion(least, told), least)
})
