import { createHmac, hash as digest, timingSafeEqual } from 'node:crypto'
import { createKeccak } from 'hash-wasm'
import secp256k1 from 'secp256k1'
import { concatBytes, equalBytes, formatHex, type Hex, parseHex } from './bytes.ts'
import { NodeError } from './errors.ts'

/** Why a hash or an address is refused. */
export type CryptoFault = 'bad-address' | 'bad-hash'

/** An Ethereum address as EIP-55 checksummed text. Addresses are stored and compared in this form only. */
export type Address = Hex & { readonly __address?: never }

/** The address of 20 zero bytes, which belongs to no account. */
export const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

const keccak = await createKeccak(256)
const PERSONAL_PREFIX = new TextEncoder().encode('\x19Ethereum Signed Message:\n32')
const personalMessage = concatBytes(PERSONAL_PREFIX, new Uint8Array(32))

/** The keccak-256 hash of the concatenated parts. */
export function keccak256(...parts: readonly Uint8Array[]): Uint8Array {
  keccak.init()
  for (const part of parts) keccak.update(part)
  return keccak.digest('binary')
}

/** Longer messages use an Hmac object, which costs more to create than hashing a short message. */
const MAX_SHORT_MESSAGE = 448
const SHA256_BLOCK = 64
const innerBlock = new Uint8Array(SHA256_BLOCK + MAX_SHORT_MESSAGE)
const outerBlock = new Uint8Array(SHA256_BLOCK + 32)
const innerDigest = Buffer.from(outerBlock.buffer, SHA256_BLOCK)

/** HMAC-SHA256 of the concatenated parts. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  let end = SHA256_BLOCK
  for (const part of parts) end += part.length
  if (key.length > SHA256_BLOCK || end > innerBlock.length) {
    const hmac = createHmac('sha256', key)
    for (const part of parts) hmac.update(part)
    return new Uint8Array(hmac.digest())
  }
  for (let i = 0; i < SHA256_BLOCK; i++) {
    const byte = i < key.length ? key[i]! : 0
    innerBlock[i] = byte ^ 0x36
    outerBlock[i] = byte ^ 0x5c
  }
  let offset = SHA256_BLOCK
  for (const part of parts) {
    innerBlock.set(part, offset)
    offset += part.length
  }
  // A `binary` string digest is twice as fast as a Buffer digest because no native buffer is allocated.
  innerDigest.write(digest('sha256', innerBlock.subarray(0, end), 'binary'), 'binary')
  innerDigest.write(digest('sha256', outerBlock, 'binary'), 'binary')
  return new Uint8Array(innerDigest)
}

/** Compares secrets in constant time. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Compares passwords in constant time, without revealing their length. */
export function equalTexts(a: string, b: string): boolean {
  return timingSafeEqual(digest('sha256', a, 'buffer'), digest('sha256', b, 'buffer'))
}

/** The hash that is actually signed for a 32-byte hash: an EIP-191 personal message (wire.md §8). */
export function personalHash(hash: Uint8Array): Uint8Array {
  if (hash.length !== 32)
    throw new NodeError<CryptoFault>('bad-hash', `a hash has 32 bytes, not ${hash.length}`)
  personalMessage.set(hash, PERSONAL_PREFIX.length)
  return keccak256(personalMessage)
}

/** Signs a 32-byte hash as a personal message: r‖s‖v, v 27 or 28, low s, deterministic (wire.md §8). */
export function signHash(privateKey: Uint8Array, hash: Uint8Array): Uint8Array {
  const { signature, recid } = secp256k1.ecdsaSign(personalHash(hash), privateKey)
  return concatBytes(signature, Uint8Array.of(27 + recid))
}

/**
 * The address that signed a 32-byte hash as a personal message. Null for a malformed signature: length other than 65, v
 * other than 27 or 28, s above half the order (wire.md §8).
 */
export function recoverSigner(hash: Uint8Array, signature: Uint8Array): Address | null {
  const bytes = recoverAddressBytes(hash, signature)
  return bytes && checksumAddress(bytes)
}

/** Whether `signer` signed the hash. Never throws. */
export function signedBy(signer: Address, hash: Uint8Array, signature: Uint8Array): boolean {
  const bytes = recoverAddressBytes(hash, signature)
  return bytes !== null && equalBytes(bytes, bytesOf(signer))
}

/**
 * Buffers for the native library. Short arrays live on the JavaScript heap and are moved when native code first asks
 * for their address, which costs more than copying into these.
 */
const recovery = { compact: new Uint8Array(64), hash: new Uint8Array(32), publicKey: new Uint8Array(65) }
const publicKeyWithoutPrefix = recovery.publicKey.subarray(1)

function recoverAddressBytes(hash: Uint8Array, signature: Uint8Array): Uint8Array | null {
  const v = signature[64]
  if (signature.length !== 65 || (v !== 27 && v !== 28) || !hasLowS(signature)) return null
  recovery.compact.set(signature.subarray(0, 64))
  try {
    recovery.hash.set(personalHash(hash))
    secp256k1.ecdsaRecover(recovery.compact, v - 27, recovery.hash, false, recovery.publicKey)
  } catch {
    return null
  }
  if (!equalBytes(publicKeyWithoutPrefix, lastSigner.publicKey)) {
    lastSigner.publicKey.set(publicKeyWithoutPrefix)
    lastSigner.address = keccak256(publicKeyWithoutPrefix).subarray(12)
  }
  return lastSigner.address
}

/**
 * The signer of the last key: tickets come in batches from one sender, so its key is not hashed each time. Never
 * returned to callers, which might change it.
 */
const lastSigner = { publicKey: new Uint8Array(64), address: keccak256(new Uint8Array(64)).subarray(12) }

/**
 * An account that signs: its address, and r‖s‖v over a hash as a personal message. The key may be elsewhere, so that a
 * signature takes time and may fail.
 */
export interface Signer {
  readonly address: Address
  sign(hash: Uint8Array): Promise<Uint8Array>
}

/** The offchain signer: zero address, empty signatures. */
export const noSigner: Signer = { address: ZERO_ADDRESS, sign: async () => new Uint8Array(0) }

/** The address of a private key. */
export function addressOfKey(privateKey: Uint8Array): Address {
  return checksumAddress(keccak256(secp256k1.publicKeyCreate(privateKey, false).subarray(1)).subarray(12))
}

/** Formats 20 bytes as an EIP-55 checksummed address. */
export function checksumAddress(bytes: Uint8Array): Address {
  if (bytes.length !== 20)
    throw new NodeError<CryptoFault>('bad-address', `an address has 20 bytes, not ${bytes.length}`)
  const cached = checksums.get(formatHex(bytes))
  if (cached) return cached
  const digits = formatHex(bytes).slice(2)
  const hash = formatHex(keccak256(new TextEncoder().encode(digits))).slice(2)
  let text = '0x'
  for (let i = 0; i < 40; i++)
    text += Number.parseInt(hash[i]!, 16) >= 8 ? digits[i]!.toUpperCase() : digits[i]!
  if (checksums.size >= MAX_CACHED_ADDRESSES) checksums.clear()
  checksums.set(`0x${digits}`, text as Address)
  return text as Address
}

/** Computing a checksum costs a hash, and the same few addresses come with every message. */
const MAX_CACHED_ADDRESSES = 10_000
const checksums = new Map<string, Address>()

/**
 * Parses an address, with or without 0x. Mixed-case text must have the right EIP-55 checksum. Throws NodeError
 * `bad-address`.
 */
export function parseAddress(text: string): Address {
  if (!/^(0x)?[0-9a-fA-F]{40}$/.test(text)) {
    throw new NodeError<CryptoFault>(
      'bad-address',
      `${JSON.stringify(text.slice(0, 80))} is not an address: 40 hexadecimal digits`,
    )
  }
  const digits = text.slice(-40)
  const address = checksumAddress(parseHex(digits))
  const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase()
  if (mixed && address.slice(2) !== digits) {
    throw new NodeError<CryptoFault>(
      'bad-address',
      `${text} has a wrong checksum: correct the mistyped digit, or write the address in lower case`,
    )
  }
  return address
}

/** The 20 bytes of an address. */
export function addressBytes(address: Address): Uint8Array {
  return bytesOf(address).slice()
}

/** Writes the 20 bytes of an address into `target` at `offset`. */
export function writeAddress(target: Uint8Array, offset: number, address: Address): void {
  target.set(bytesOf(address), offset)
}

/** Cached bytes of addresses, which repeat in every ticket. Never returned to callers, which might change them. */
const addressesAsBytes = new Map<Address, Uint8Array>()

function bytesOf(address: Address): Uint8Array {
  const cached = addressesAsBytes.get(address)
  if (cached) return cached
  const bytes = parseHex(address)
  if (bytes.length !== 20)
    throw new NodeError<CryptoFault>('bad-address', `an address has 20 bytes, not ${bytes.length}`)
  if (addressesAsBytes.size >= MAX_CACHED_ADDRESSES) addressesAsBytes.clear()
  addressesAsBytes.set(address, bytes)
  return bytes
}

const HALF_ORDER = parseHex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0')

function hasLowS(signature: Uint8Array): boolean {
  return signature[32]! < HALF_ORDER[0]! || Buffer.compare(signature.subarray(32, 64), HALF_ORDER) <= 0
}
