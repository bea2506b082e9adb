import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { concatBytes, intToBytes } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'

/** How long a certificate is valid, in ms (wire.md §2). */
const VALID_MS = 8765 * 3600 * 1000

/** A certificate and its private key, as PEM. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

/**
 * Makes a self-signed P-256 certificate for one host name, in the form that the network's nodes use (wire.md §2).
 * Nobody verifies it: it only makes the connection private.
 */
export function makeIdentity(hostname: string, needs: { clock: Clock; dice: Dice }): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const content = certificateContent(hostname, publicKey, needs)
  const signature = sign('sha256', content, privateKey)
  const certificate = sequence(content, ECDSA_WITH_SHA256, bitString(signature))
  const body = Buffer.from(certificate).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
  }
}

/** Writes an identity into the data directory, `cert.pem` and `key.pem`; only the owner may read the key (wire.md §2). */
export async function saveIdentity(directory: string, identity: Identity): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'cert.pem'), identity.cert)
  const keyFile = join(directory, 'key.pem')
  await writeFile(keyFile, identity.key, { mode: 0o600 })
  // A file that was there before keeps its own mode.
  await chmod(keyFile, 0o600)
}

// X.509 (RFC 5280) written in DER, as far as this one certificate needs it.

const ECDSA_WITH_SHA256 = sequence(oid([1, 2, 840, 10045, 4, 3, 2]))
const SUBJECT_KEY_IDENTIFIER = [2, 5, 29, 14]
const KEY_USAGE = [2, 5, 29, 15]
const SUBJECT_ALT_NAME = [2, 5, 29, 17]
const BASIC_CONSTRAINTS = [2, 5, 29, 19]
const EXTENDED_KEY_USAGE = [2, 5, 29, 37]
const SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1]

function certificateContent(
  hostname: string,
  publicKey: KeyObject,
  { clock, dice }: { clock: Clock; dice: Dice },
): Uint8Array {
  const keyInfo = publicKey.export({ type: 'spki', format: 'der' })
  // The last 65 bytes are the point itself: what the identifier is the hash of.
  const keyId = createHash('sha1').update(keyInfo.subarray(-65)).digest()
  const serial = dice.bytes(16)
  const name = sequence()
  return sequence(
    der(0xa0, integer(Uint8Array.of(2))),
    integer(serial),
    ECDSA_WITH_SHA256,
    name,
    sequence(utcTime(clock.now()), utcTime(clock.now() + VALID_MS)),
    name,
    keyInfo,
    der(
      0xa3,
      sequence(
        // digitalSignature is bit 0 and keyCertSign bit 5, counted from the top; the last two bits are unused.
        extension(KEY_USAGE, der(0x03, Uint8Array.of(2, 0b1000_0100)), true),
        extension(EXTENDED_KEY_USAGE, sequence(oid(SERVER_AUTH))),
        extension(BASIC_CONSTRAINTS, sequence(der(0x01, Uint8Array.of(0xff))), true),
        extension(SUBJECT_KEY_IDENTIFIER, octets(keyId)),
        extension(SUBJECT_ALT_NAME, sequence(der(0x82, new TextEncoder().encode(hostname))), true),
      ),
    ),
  )
}

function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...contents)
  const size = intToBytes(BigInt(content.length))
  const length =
    content.length < 0x80
      ? Uint8Array.of(content.length)
      : concatBytes(Uint8Array.of(0x80 | size.length), size)
  return concatBytes(Uint8Array.of(tag), length, content)
}

function sequence(...contents: readonly Uint8Array[]): Uint8Array {
  return der(0x30, ...contents)
}

function octets(content: Uint8Array): Uint8Array {
  return der(0x04, content)
}

function bitString(content: Uint8Array): Uint8Array {
  return der(0x03, Uint8Array.of(0), content)
}

/** A positive integer in its shortest form. */
function integer(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const digits = bytes.subarray(start)
  return der(0x02, digits[0]! >= 0x80 ? concatBytes(Uint8Array.of(0), digits) : digits)
}

function oid([first = 0, second = 0, ...rest]: readonly number[]): Uint8Array {
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const digits = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return der(0x06, Uint8Array.from(bytes))
}

/** YYMMDDhhmmssZ: good until the year 2049. */
function utcTime(ms: number): Uint8Array {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, new TextEncoder().encode(`${text}Z`))
}

function extension(id: readonly number[], value: Uint8Array, critical = false): Uint8Array {
  const flag = critical ? [der(0x01, Uint8Array.of(0xff))] : []
  return sequence(oid(id), ...flag, octets(value))
}
