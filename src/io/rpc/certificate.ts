import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { concatBytes, intToBytes } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'

/** A certificate and its private key, as PEM. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

/** The contents of a certificate and its issuer. */
export interface CertificateOptions {
  /** Common name of the subject; null for none. */
  readonly name: string | null
  /** Common name and key of the issuer; null for a self-signed certificate. */
  readonly issuer: { readonly name: string; readonly key: KeyObject } | null
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly mayCall: boolean
  readonly mayServe: boolean
  readonly maySign: boolean
  readonly validMs: number
}

/**
 * Makes a P-256 key and its certificate: X.509 (RFC 5280) in DER, with the parts that nodes need. Valid from now on.
 */
export function makeCertificate(options: CertificateOptions, needs: { clock: Clock; dice: Dice }): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const content = certificateContent(options, publicKey, needs)
  const signature = sign('sha256', content, options.issuer?.key ?? privateKey)
  const certificate = sequence(content, ECDSA_WITH_SHA256, bitString(signature))
  const body = Buffer.from(certificate).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
  }
}

const ECDSA_WITH_SHA256 = sequence(oid([1, 2, 840, 10045, 4, 3, 2]))
const COMMON_NAME = [2, 5, 4, 3]
const SUBJECT_KEY_IDENTIFIER = [2, 5, 29, 14]
const KEY_USAGE = [2, 5, 29, 15]
const SUBJECT_ALT_NAME = [2, 5, 29, 17]
const BASIC_CONSTRAINTS = [2, 5, 29, 19]
const AUTHORITY_KEY_IDENTIFIER = [2, 5, 29, 35]
const EXTENDED_KEY_USAGE = [2, 5, 29, 37]
const SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1]
const CLIENT_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 2]
/** Bits of the key usage, from the top. */
const DIGITAL_SIGNATURE = 0b1000_0000
const KEY_CERT_SIGN = 0b0000_0100

function certificateContent(
  { dnsNames, ipAddresses, issuer, maySign, mayCall, mayServe, name, validMs }: CertificateOptions,
  publicKey: KeyObject,
  { clock, dice }: { clock: Clock; dice: Dice },
): Uint8Array {
  const hosts = [
    ...dnsNames.map((host) => der(0x82, new TextEncoder().encode(host))),
    ...ipAddresses.map((ip) => der(0x87, ipBytes(ip))),
  ]
  const isLeaf = mayServe || mayCall
  const usage = (isLeaf ? DIGITAL_SIGNATURE : 0) | (maySign ? KEY_CERT_SIGN : 0)
  const purposes = [...(mayServe ? [oid(SERVER_AUTH)] : []), ...(mayCall ? [oid(CLIENT_AUTH)] : [])]
  const signer = issuer && keyIdentifier(createPublicKey(issuer.key))
  return sequence(
    der(0xa0, integer(Uint8Array.of(2))),
    integer(dice.bytes(16)),
    ECDSA_WITH_SHA256,
    nameOf(issuer?.name ?? name),
    sequence(time(clock.now()), time(clock.now() + validMs)),
    nameOf(name),
    keyInfoOf(publicKey),
    der(
      0xa3,
      sequence(
        extension(KEY_USAGE, der(0x03, Uint8Array.of(maySign ? 2 : 7, usage)), true),
        ...(isLeaf ? [extension(EXTENDED_KEY_USAGE, sequence(...purposes))] : []),
        extension(BASIC_CONSTRAINTS, sequence(...(maySign ? [der(0x01, Uint8Array.of(0xff))] : [])), true),
        extension(SUBJECT_KEY_IDENTIFIER, octets(keyIdentifier(publicKey))),
        ...(signer ? [extension(AUTHORITY_KEY_IDENTIFIER, sequence(der(0x80, signer)))] : []),
        // A subject without a name is identified by its hosts alone, so the extension must be critical.
        ...(hosts.length > 0 ? [extension(SUBJECT_ALT_NAME, sequence(...hosts), name === null)] : []),
      ),
    ),
  )
}

function keyInfoOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** The last 65 bytes are the point itself, which is hashed for the identifier. */
function keyIdentifier(publicKey: KeyObject): Uint8Array {
  return createHash('sha1').update(keyInfoOf(publicKey).subarray(-65)).digest()
}

function nameOf(name: string | null): Uint8Array {
  if (name === null) return sequence()
  return sequence(der(0x31, sequence(oid(COMMON_NAME), der(0x0c, new TextEncoder().encode(name)))))
}

function ipBytes(ip: string): Uint8Array {
  return isIP(ip) === 4 ? Uint8Array.from(ip.split('.').map(Number)) : ipv6Bytes(ip)
}

function ipv6Bytes(ip: string): Uint8Array {
  // A URL has every address in the same short form: hexadecimal groups, at most one gap.
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string) => part.split(':').filter((group) => group !== '')
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const gap = new Array<string>(8 - before.length - after.length).fill('0')
  const words = [...before, ...gap, ...after].map((group) => Number.parseInt(group, 16))
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
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

/** A positive integer in its shortest encoding. */
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

/** Years before 2050 have two digits, later ones four. */
function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)
  const isLate = digits >= '2050'
  return der(isLate ? 0x18 : 0x17, new TextEncoder().encode(`${isLate ? digits : digits.slice(2)}Z`))
}

function extension(id: readonly number[], value: Uint8Array, critical = false): Uint8Array {
  const flag = critical ? [der(0x01, Uint8Array.of(0xff))] : []
  return sequence(oid(id), ...flag, octets(value))
}
