import { createHmac, timingSafeEqual } from 'node:crypto'
import { createKeccak } from 'hash-wasm'
import secp256k1 from 'secp256k1'
import { concatBytes, formatHex, type Hex, parseHex } from './bytes.ts'
import { NodeError } from './errors.ts'

/** An Ethereum address as EIP-55 checksummed text: the one form in which addresses are held and compared. */
export type Address = Hex & { readonly __address?: never }

/** The address of 20 zero bytes: nobody. */
export const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

const keccak = await createKeccak(256)
const PERSONAL_PREFIX = new TextEncoder().encode('\x19Ethereum Signed Message:\n32')

/** keccak-256. */
export function keccak256(...parts: readonly Uint8Array[]): Uint8Array {
  keccak.init()
  for (const part of parts) keccak.update(part)
  return keccak.digest('binary')
}

/** HMAC-SHA256. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return new Uint8Array(hmac.digest())
}

/** Compares secrets without telling by its time where they differ. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** What is really signed for a 32-byte hash: EIP-191, personal message (wire.md §8). */
export function personalHash(hash: Uint8Array): Uint8Array {
  return keccak256(PERSONAL_PREFIX, hash)
}

/** Signs a 32-byte hash as a personal message: r‖s‖v, v 27 or 28, low s, deterministic (wire.md §8). */
export function signHash(privateKey: Uint8Array, hash: Uint8Array): Uint8Array {
  const { signature, recid } = secp256k1.ecdsaSign(personalHash(hash), privateKey)
  return concatBytes(signature, Uint8Array.of(27 + recid))
}

/**
 * The address that signed a 32-byte hash as a personal message, or null for a signature that is malformed:
 * length other than 65, v other than 27 and 28, s above half the order (wire.md §8).
 */
export function recoverSigner(hash: Uint8Array, signature: Uint8Array): Address | null {
  const v = signature[64]
  if (signature.length !== 65 || (v !== 27 && v !== 28) || !hasLowS(signature)) return null
  try {
    const key = secp256k1.ecdsaRecover(signature.subarray(0, 64), v - 27, personalHash(hash), false)
    return checksumAddress(keccak256(key.subarray(1)).subarray(12))
  } catch {
    return null
  }
}

/** Whether `signer` signed the hash. Never throws. */
export function signedBy(signer: Address, hash: Uint8Array, signature: Uint8Array): boolean {
  return recoverSigner(hash, signature) === signer
}

/** The address of a private key. */
export function addressOfKey(privateKey: Uint8Array): Address {
  return checksumAddress(keccak256(secp256k1.publicKeyCreate(privateKey, false).subarray(1)).subarray(12))
}

/** Formats 20 bytes as an EIP-55 checksummed address. */
export function checksumAddress(bytes: Uint8Array): Address {
  if (bytes.length !== 20) throw new NodeError('bad-address', `an address has 20 bytes, not ${bytes.length}`)
  const cached = checksums.get(formatHex(bytes))
  if (cached) return cached
  const digits = formatHex(bytes).slice(2)
  const hash = formatHex(keccak256(new TextEncoder().encode(digits))).slice(2)
  let text = '0x'
  for (let i = 0; i < 40; i++)
    text += Number.parseInt(hash[i]!, 16) >= 8 ? digits[i]!.toUpperCase() : digits[i]!
  if (checksums.size >= MAX_CACHED_CHECKSUMS) checksums.clear()
  checksums.set(`0x${digits}`, text as Address)
  return text as Address
}

/** Checksums cost a hash each and the same few addresses come with every message. */
const MAX_CACHED_CHECKSUMS = 10_000
const checksums = new Map<string, Address>()

/**
 * Parses an address, with or without 0x. Mixed-case text must carry the right EIP-55 checksum.
 * Throws NodeError `bad-address`.
 */
export function parseAddress(text: string): Address {
  if (!/^(0x)?[0-9a-fA-F]{40}$/.test(text)) {
    throw new NodeError(
      'bad-address',
      `${JSON.stringify(text.slice(0, 80))} is not an address: 40 hexadecimal digits`,
    )
  }
  const digits = text.slice(-40)
  const address = checksumAddress(parseHex(digits))
  const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase()
  if (mixed && address.slice(2) !== digits) {
    throw new NodeError(
      'bad-address',
      `${text} has a wrong checksum: a digit was mistyped, or write it in lower case`,
    )
  }
  return address
}

/** Writes the 20 bytes of an address into `target` at `offset`. */
export function writeAddress(target: Uint8Array, offset: number, address: Address): void {
  const written = Buffer.from(target.buffer, target.byteOffset + offset, 20).write(address.slice(2), 'hex')
  if (written !== 20 || address.length !== 42) {
    throw new NodeError('bad-address', `not an address: ${address.slice(0, 80)}`)
  }
}

/** The 20 bytes of an address. */
export function addressBytes(address: Address): Uint8Array {
  return parseHex(address)
}

const HALF_ORDER = parseHex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0')

function hasLowS(signature: Uint8Array): boolean {
  return Buffer.compare(signature.subarray(32, 64), HALF_ORDER) <= 0
}
