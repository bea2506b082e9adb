import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import vectors from '../../test/vectors/tickets.json' with { type: 'json' }
import { concatBytes, formatHex, intToFixedBytes, parseHex } from './bytes.ts'
import {
  type Address,
  addressBytes,
  addressOfKey,
  checksumAddress,
  equalSecrets,
  equalTexts,
  hmacSha256,
  keccak256,
  parseAddress,
  personalHash,
  recoverSigner,
  signedBy,
  signHash,
  writeAddress,
  ZERO_ADDRESS,
} from './crypto.ts'

const ascii = (text: string) => new TextEncoder().encode(text)
/** The private key 1, which signs the examples of wire.md §17. */
const KEY = intToFixedBytes(1n, 32)
const ADDRESS: Address = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'

test('keccak-256 is the original padding, not SHA-3, over the concatenated parts', () => {
  const empty = '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
  assert.equal(formatHex(keccak256()), empty)
  assert.equal(
    formatHex(keccak256(ascii('fo'), ascii(''), ascii('o'))),
    `0x${vectors.onChain.creationRoundBlockHash}`,
  )
})

test('HMAC-SHA256 agrees with OpenSSL for keys and messages of every length', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
      (key, parts) => {
        const expected = createHmac('sha256', key)
          .update(concatBytes(...parts))
          .digest()
        assert.deepEqual(hmacSha256(key, ...parts), new Uint8Array(expected))
      },
    ),
  )
})

test('HMAC-SHA256 gives the token of wire.md §17', () => {
  assert.equal(
    formatHex(hmacSha256(ascii('foo'), ascii('bar'), parseHex('6553f100'))),
    '0xce8345743be2a55a8556feb94e9b05715edd89c7cc0fc70e98bb706ba511380e',
  )
})

test('a digest is not changed by later calls', () => {
  const first = hmacSha256(KEY, ascii('a'))
  const copy = first.slice()
  hmacSha256(KEY, ascii('b'))
  assert.deepEqual(first, copy)
  const hash = keccak256(ascii('a'))
  const hashCopy = hash.slice()
  personalHash(keccak256(ascii('b')))
  assert.deepEqual(hash, hashCopy)
})

test('signatures are deterministic and match the network’s', () => {
  assert.equal(addressOfKey(KEY), ADDRESS)
  const ofAddress = keccak256(ascii(ADDRESS))
  assert.equal(formatHex(ofAddress), '0x4d5a49db91080e655190d37cddc99ea26046572ad0796bb34bdaba86f6b74672')
  assert.equal(
    formatHex(signHash(KEY, ofAddress)),
    '0x2e05f5b96d0c24dde6256c43b4dd51d50979d8a650510a52b1317a95e9eda00d3d716748cd06e78360e29fdfe091e0c6c5a3d7ae1fb408d0b746ebdd9fa6382a1c',
  )
  const ofSegment = parseHex('08a398e7e7a5a545b0b07d9e7e1eab52b4131e0df1621bd53ee6e7550a15465b')
  assert.equal(
    formatHex(signHash(KEY, ofSegment)),
    '0x6164f6d17b6b513928750b70b28391f80fff00c415a5bf9bdf3b14b232d854807ec2eef9dedf1bcda5ae87c98c2d78ae927c0eadf395c416536705b0f64bd3991b',
  )
})

const { address, message, valid, highS } = vectors.signature
const hash = parseHex(message)
const good = parseHex(valid)

test('the signer is recovered from a signature', () => {
  assert.equal(recoverSigner(hash, good), address)
  assert.equal(signedBy(address as Address, hash, good), true)
  assert.equal(signedBy(ADDRESS, hash, good), false)
  assert.equal(signedBy(address as Address, keccak256(hash), good), false)
})

test('alternating signers are told apart', () => {
  const own = signHash(KEY, hash)
  for (let i = 0; i < 3; i++) {
    assert.equal(recoverSigner(hash, good), address)
    assert.equal(signedBy(ADDRESS, hash, own), true)
    assert.equal(signedBy(address as Address, hash, own), false)
  }
})

test('only 32-byte hashes can be signed', () => {
  for (const length of [0, 31, 33]) {
    assert.throws(() => signHash(KEY, new Uint8Array(length)), { code: 'bad-hash' })
    assert.equal(recoverSigner(new Uint8Array(length), good), null)
  }
})

const withLast = (v: number) => concatBytes(good.subarray(0, 64), Uint8Array.of(v))
const zeros = new Uint8Array(32)
const ones = new Uint8Array(32).fill(255)
const lowS = good.subarray(32, 64)
const MALFORMED: [string, Uint8Array][] = [
  ['without its last byte', good.subarray(0, 64)],
  ['with one byte too many', concatBytes(good, Uint8Array.of(0))],
  ['without bytes', new Uint8Array(0)],
  ['with a high s', parseHex(highS)],
  ['with v 0', withLast(0)],
  ['with v 1', withLast(1)],
  ['with v 29', withLast(29)],
  ['with r 0', concatBytes(zeros, lowS, Uint8Array.of(27))],
  ['with s 0', concatBytes(good.subarray(0, 32), zeros, Uint8Array.of(27))],
  ['with r beyond the order', concatBytes(ones, lowS, Uint8Array.of(27))],
]

for (const [name, signature] of MALFORMED) {
  test(`a signature ${name} has no signer`, () => {
    assert.equal(recoverSigner(hash, signature), null)
    assert.equal(signedBy(address as Address, hash, signature), false)
    assert.equal(signedBy(ZERO_ADDRESS, hash, signature), false)
  })
}

test('s may equal half the order but not exceed it', () => {
  const half = parseHex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0')
  const more = parseHex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1')
  const withS = (s: Uint8Array) => concatBytes(good.subarray(0, 32), s, Uint8Array.of(27))
  assert.notEqual(recoverSigner(hash, withS(half)), null)
  assert.equal(recoverSigner(hash, withS(more)), null)
})

test('recovering a signer never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 65, maxLength: 65 }), fc.boolean(), (signature, even) => {
      signature[64] = even ? 27 : 28
      const signer = recoverSigner(hash, signature)
      assert.equal(signer === null || signedBy(signer, hash, signature), true)
    }),
  )
})

test('signing and recovering round-trips', () => {
  const key = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .filter((bytes) => bytes[0] !== 255 && bytes[31] !== 0)
  fc.assert(
    fc.property(key, fc.uint8Array(), (secret, text) => {
      const digest = keccak256(text)
      assert.equal(recoverSigner(digest, signHash(secret, digest)), addressOfKey(secret))
    }),
    { numRuns: 30 },
  )
})

test('addresses are read in any case and kept with their checksum', () => {
  for (const text of [
    ADDRESS,
    ADDRESS.toLowerCase(),
    ADDRESS.slice(2),
    `0x${ADDRESS.slice(2).toUpperCase()}`,
  ]) {
    assert.equal(parseAddress(text), ADDRESS)
  }
  assert.equal(checksumAddress(addressBytes(ADDRESS)), ADDRESS)
  assert.equal(parseAddress(ZERO_ADDRESS.slice(2)), ZERO_ADDRESS)
})

test('a mistyped address is refused with an explanation', () => {
  const mistyped = `0x${ADDRESS.slice(2).replace('F', 'f')}`
  assert.throws(() => parseAddress(mistyped), {
    code: 'bad-address',
    message: /wrong checksum: correct the mistyped digit/,
  })
  for (const text of ['', '0x', ADDRESS.slice(0, -1), `${ADDRESS}0`, `0x${'g'.repeat(40)}`, ` ${ADDRESS}`]) {
    assert.throws(() => parseAddress(text), {
      code: 'bad-address',
      message: /is not an address: 40 hexadecimal digits/,
    })
  }
  assert.throws(() => checksumAddress(new Uint8Array(19)), { code: 'bad-address' })
})

test('addressBytes returns a copy that callers may change', () => {
  addressBytes(ADDRESS).fill(0)
  assert.equal(checksumAddress(addressBytes(ADDRESS)), ADDRESS)
  const target = new Uint8Array(22).fill(7)
  writeAddress(target, 1, ADDRESS)
  assert.deepEqual(target, concatBytes(Uint8Array.of(7), addressBytes(ADDRESS), Uint8Array.of(7)))
  assert.throws(() => writeAddress(target, 0, '0xabcd'), { code: 'bad-address' })
})

test('secrets are equal only when all bytes match', () => {
  assert.equal(equalSecrets(ascii('secret'), ascii('secret')), true)
  assert.equal(equalSecrets(ascii('secret'), ascii('secreT')), false)
  assert.equal(equalSecrets(ascii('secret'), ascii('secrets')), false)
  assert.equal(equalTexts('sécret', 'sécret'), true)
  for (const other of ['', 'secret', 'sécreT', 'sécrets', 'sécre'])
    assert.equal(equalTexts('sécret', other), false)
})
