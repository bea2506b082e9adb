import { createHmac } from 'node:crypto'
import { RtmpError } from './rtmp-error.ts'

/** Version byte and the 1,536 bytes of C1; C2 is as long. */
export const HELLO_BYTES = 1 + 1536
export const REPLY_BYTES = 1536

const VERSION = 3
const DIGEST_BYTES = 32
/** How many bytes a digest may be from the start of its block, and where the two blocks lie. */
const DIGEST_SPREAD = 728
const DIGEST_BLOCKS = [8, 772] as const
/** Shown instead of zeros to clients that sign: peers expect a version of at least 3. */
const SERVER_VERSION = Buffer.from([4, 5, 0, 1])
/** Published constants that both sides of a signed handshake share. */
const KEY_END = Buffer.from('f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae', 'hex')
const PLAYER_KEY = Buffer.from('Genuine Adobe Flash Player 001')
const SERVER_KEY = Buffer.from('Genuine Adobe Flash Media Server 001')

/**
 * The answer S0, S1 and S2 to the first `HELLO_BYTES` of a client. A client that signs with a valid digest gets a signed
 * answer, any other its own bytes back (RTMP 1.0, 5.2). `random` is 3,072 random bytes. Throws RtmpError for another
 * protocol or version.
 */
export function answerHello(hello: Uint8Array, random: Uint8Array): Uint8Array {
  const version = hello[0]!
  if (version !== VERSION) throw foreign(version)
  const c1 = hello.subarray(1, HELLO_BYTES)
  const s1 = Buffer.from(random.subarray(0, REPLY_BYTES))
  s1.fill(0, 0, 8)
  // A client that signs names its version.
  const digest = c1.subarray(4, 8).some((byte) => byte !== 0) ? digestOf(c1, PLAYER_KEY) : null
  if (!digest) return Buffer.concat([Buffer.from([VERSION]), s1, c1])
  SERVER_VERSION.copy(s1, 4)
  const at = digestOffset(s1, digest.block)
  signed(s1, at, SERVER_KEY).copy(s1, at)
  const s2 = Buffer.from(random.subarray(REPLY_BYTES, 2 * REPLY_BYTES))
  const end = REPLY_BYTES - DIGEST_BYTES
  const key = hmac(Buffer.concat([SERVER_KEY, KEY_END]), digest.value)
  hmac(key, s2.subarray(0, end)).copy(s2, end)
  return Buffer.concat([Buffer.from([VERSION]), s1, s2])
}

/** Whether a first byte may begin a handshake. */
export function isHello(firstByte: number): boolean {
  return firstByte === VERSION
}

/** The error for a client that begins with another byte. */
export function foreign(firstByte: number): RtmpError {
  return new RtmpError('protocol', `the first byte is ${firstByte}, not ${VERSION}: this is not plain RTMP`)
}

/** The digest in C1 or S1 and its block, or null without a valid one; `key` is that of the side that signed. */
export function digestOf(
  bytes: Uint8Array,
  key: Uint8Array,
): { readonly block: number; readonly value: Uint8Array } | null {
  for (const block of DIGEST_BLOCKS) {
    const at = digestOffset(bytes, block)
    const value = bytes.subarray(at, at + DIGEST_BYTES)
    if (signed(bytes, at, key).equals(value)) return { block, value }
  }
  return null
}

function digestOffset(bytes: Uint8Array, block: number): number {
  const sum = bytes[block]! + bytes[block + 1]! + bytes[block + 2]! + bytes[block + 3]!
  return block + 4 + (sum % DIGEST_SPREAD)
}

function signed(bytes: Uint8Array, at: number, key: Uint8Array): Buffer {
  return createHmac('sha256', key)
    .update(bytes.subarray(0, at))
    .update(bytes.subarray(at + DIGEST_BYTES))
    .digest()
}

function hmac(key: Uint8Array, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest()
}
