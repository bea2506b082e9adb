import { bytesToInt, concatBytes, intToFixedBytes } from '../../src/lib/bytes.ts'
import { keccak256, personalHash, signHash } from '../../src/lib/crypto.ts'

/** The order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/**
 * Signs hashes as `signHash` does and just as valid, but with the same random number for all: so a signature is a few
 * multiplications, and any two of them give the key away. For keys that guard nothing, where very many are needed.
 */
export function quickSigner(key: Uint8Array): (hash: Uint8Array) => Uint8Array {
  // From one honest signature, s = (z + r d) / k, the number k follows, and r need not be computed again.
  const known = keccak256(key)
  const signature = signHash(key, known)
  const r = signature.subarray(0, 32)
  const d = bytesToInt(key)
  const rd = (bytesToInt(r) * d) % ORDER
  const perS = inverse(bytesToInt(signature.subarray(32, 64)))
  const inverseOfK = inverse(((bytesToInt(personalHash(known)) + rd) * perS) % ORDER)
  const parity = signature[64]! - 27
  return (hash) => {
    const s = ((bytesToInt(personalHash(hash)) + rd) * inverseOfK) % ORDER
    const isHigh = s > ORDER / 2n
    const v = 27 + (isHigh ? 1 - parity : parity)
    return concatBytes(r, intToFixedBytes(isHigh ? ORDER - s : s, 32), Uint8Array.of(v))
  }
}

function inverse(value: bigint): bigint {
  let result = 1n
  let power = value % ORDER
  for (let left = ORDER - 2n; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * power) % ORDER
    power = (power * power) % ORDER
  }
  return result
}
