import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes, formatHex, intToFixedBytes, leftPad, parseHex } from '../lib/bytes.ts'
import { keccak256, recoverSigner, signHash } from '../lib/crypto.ts'
import { presetNamed } from './rendition.ts'
import { requestHash, resultHash, segmentHash, segmentPreimage } from './signed-hashes.ts'

const text = (value: string) => new TextEncoder().encode(value)

describe('segment signature', () => {
  // wire.md §17
  const segment = {
    manifestId: 'abcdef',
    seq: 1234n,
    hash: concatBytes(text('browns'), new Uint8Array(26)),
    profiles: [presetNamed('P144p30fps16x9')!, presetNamed('P240p30fps16x9')!],
  }

  it('covers manifest, number, hash and profile names, byte for byte', () => {
    const expected = `0x616263646566${'00'.repeat(30)}04d262726f776e73${'00'.repeat(26)}66636134306266396330613635313761`
    assert.equal(formatHex(segmentPreimage(segment)), expected)
    assert.equal(segmentPreimage(segment).length, 86)
    assert.equal(
      formatHex(segmentHash(segment)),
      '0x08a398e7e7a5a545b0b07d9e7e1eab52b4131e0df1621bd53ee6e7550a15465b',
    )
  })

  it('signed by the key 1 is the recorded one', () => {
    const signature = signHash(intToFixedBytes(1n, 32), segmentHash(segment))
    assert.equal(
      formatHex(signature),
      '0x6164f6d17b6b513928750b70b28391f80fff00c415a5bf9bdf3b14b232d854807ec2eef9dedf1bcda5ae87c98c2d78ae927c0eadf395c416536705b0f64bd3991b',
    )
    assert.equal(recoverSigner(segmentHash(segment), signature), '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf')
  })

  it('covers only the name of a profile', () => {
    const other = { ...segment, profiles: segment.profiles.map((p) => ({ ...p, width: 1, fps: 7 })) }
    assert.deepEqual(segmentHash(other), segmentHash(segment))
  })

  it('exists for anything that a peer may send', () => {
    const odd = { manifestId: '', seq: -5n, hash: new Uint8Array(3), profiles: [] }
    assert.equal(segmentHash(odd).length, 32)
    const short = { ...segment, hash: Uint8Array.of(1) }
    const padded = { ...segment, hash: leftPad(Uint8Array.of(1), 32) }
    assert.deepEqual(segmentHash(short), segmentHash(padded))
  })
})

describe('request signature', () => {
  it('signed by the key 1 is the recorded one (wire.md §17)', () => {
    const hash = requestHash('0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf')
    assert.equal(formatHex(hash), '0x4d5a49db91080e655190d37cddc99ea26046572ad0796bb34bdaba86f6b74672')
    assert.equal(
      formatHex(signHash(intToFixedBytes(1n, 32), hash)),
      '0x2e05f5b96d0c24dde6256c43b4dd51d50979d8a650510a52b1317a95e9eda00d3d716748cd06e78360e29fdfe091e0c6c5a3d7ae1fb408d0b746ebdd9fa6382a1c',
    )
  })
})

describe('result signature', () => {
  it('covers the hashes of the renditions in their order (wire.md §17)', () => {
    const hashes = [keccak256(text('rendition-0')), keccak256(text('rendition-1'))]
    const expected = '0x280a8d232fedf497ed3ee90fbb9127030b958aa2b6ce582fed735d929e7a9257'
    assert.equal(formatHex(resultHash(hashes)), expected)
    assert.notEqual(formatHex(resultHash([...hashes].reverse())), expected)
    assert.deepEqual(resultHash([]), keccak256(parseHex('')))
  })
})
