import { scrypt as nativeScrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { scrypt as portableScrypt } from 'hash-wasm'

/** scrypt's work factors; `n` is a power of two. */
export interface ScryptCost {
  readonly n: number
  readonly r: number
  readonly p: number
}

const scryptAsync = promisify<string, Uint8Array, number, object, Buffer>(nativeScrypt)

/** Derives 32 bytes from a password. Takes about 128·n·r bytes of memory; the caller limits the cost. */
export async function scrypt(
  password: string,
  salt: Uint8Array,
  { n, r, p }: ScryptCost,
): Promise<Uint8Array> {
  // OpenSSL requires n < 2^(16·r), but the RFC's own example and old key files have n = 2^18 with r = 1.
  if (Math.log2(n) >= 16 * r) {
    return portableScrypt({
      password: new TextEncoder().encode(password),
      salt,
      costFactor: n,
      blockSize: r,
      parallelism: p,
      hashLength: 32,
      outputType: 'binary',
    })
  }
  // Node's default limit of 32 MiB is too low for the standard cost of key files.
  const maxmem = 128 * n * r + 128 * r * p + 2 ** 20
  return scryptAsync(password, salt, 32, { N: n, r, p, maxmem })
}
