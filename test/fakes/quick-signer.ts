import { bytesToInt, concatBytes, intToFixedBytes } from '../../src/lib/bytes.ts'
import { keccak256, personalHash, signHash } from '../../src/lib/crypto.ts'

/** The order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/**
 * Makes valid signatures like `signHash`, but with the same nonce for all, so that each takes only a few
 * multiplications and any two reveal the key. For keys that protect nothing, when very many signatures are needed.
 */
export function quickSigner(key: Uint8Array): (hash: Uint8Array) => Uint8Array {
  // The nonce k follows from one regular signature, s = (z + r d) / k, and r need not be computed again.
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
