import { createCipheriv, createDecipheriv, pbkdf2, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { concatBytes } from '../../lib/bytes.ts'
import { type Address, addressOfKey, equalSecrets, keccak256, parseAddress } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { type ScryptCost, scrypt } from '../../lib/scrypt.ts'
import { KeyFileSection } from './key-file-section.ts'

/** What can be wrong with a key, a key file or the choice of an account. */
export type WalletFault =
  | 'bad-key-file'
  | 'unsupported-key-file'
  | 'wrong-password'
  | 'account-not-found'
  | 'account-mismatch'
  | 'no-password'
  | 'passphrases-do-not-match'
  | 'keystore-unusable'

/** An error of the wallet; its message tells the operator what to change. */
export class WalletError extends NodeError<WalletFault> {
  override name = 'WalletError'
}

/** As other software has it: about 256 MiB and a second (chain.md §5). */
export const STANDARD_COST: ScryptCost = { n: 262_144, r: 8, p: 1 }

/** The most memory and work that a key file may ask for: a hostile one could stop the machine. */
const MAX_SCRYPT_BYTES = 2 ** 30
const MAX_SCRYPT_WORK = 2 ** 26
const MAX_PBKDF2_ROUNDS = 20_000_000
/** Key files have about 500 bytes. */
export const MAX_KEY_FILE_BYTES = 64 * 1024

const VERSION = 3
const CIPHER = 'aes-128-ctr'
const IV_BYTES = 16
const KEY_BYTES = 32
const PRF = 'hmac-sha256'

/** A key file read but not opened. */
export interface KeyFile {
  /** As the file claims; null where it names none. */
  readonly address: Address | null
  readonly crypto: KeyFileSection
}

const pbkdf2Async = promisify(pbkdf2)

/**
 * Reads a Web3 Secret Storage V3 file's text, as any wallet writes it (chain.md §5). Throws WalletError `bad-key-file`, which
 * says what of the standard is missing.
 */
export function parseKeyFile(text: string): KeyFile {
  try {
    const file = KeyFileSection.of(text)
    if (file.whole('version') !== VERSION) throw file.refuse('version', `not ${VERSION}`)
    const crypto = file.section('crypto')
    // What every file needs; the parts of its key derivation are checked when it is opened.
    for (const name of ['ciphertext', 'mac']) crypto.hex(name)
    for (const name of ['cipher', 'kdf']) crypto.text(name)
    for (const name of ['cipherparams', 'kdfparams']) crypto.section(name)
    return { address: addressIn(file), crypto }
  } catch (error) {
    throw new WalletError(
      'bad-key-file',
      `it is not a Web3 key file of version ${VERSION}: ${messageOf(error)}`,
      { cause: error },
    )
  }
}

function addressIn(file: KeyFileSection): Address | null {
  if (!file.has('address')) return null
  const text = file.text('address').trim()
  try {
    return parseAddress(text.toLowerCase())
  } catch {
    throw file.refuse('address', 'not an address of 40 hexadecimal digits')
  }
}

/** Opens a key file. Throws WalletError `wrong-password`, `unsupported-key-file` or `account-mismatch`. */
export async function decryptKeyFile(file: KeyFile, password: string): Promise<Uint8Array> {
  const { crypto } = file
  const ciphertext = crypto.hex('ciphertext')
  const iv = supported(() => {
    if (crypto.method('cipher') !== CIPHER) throw crypto.refuse('cipher', `where only ${CIPHER} can be read`)
    const params = crypto.section('cipherparams')
    const bytes = params.hex('iv')
    if (bytes.length === IV_BYTES) return bytes
    throw new Error(`its "crypto.cipherparams.iv" has ${bytes.length} bytes, not ${IV_BYTES}`)
  })
  const derived = await deriveKey(crypto, password)
  if (!equalSecrets(keccak256(derived.subarray(16, 32), ciphertext), crypto.hex('mac'))) {
    throw new WalletError('wrong-password', 'the password does not open this key file')
  }
  const decipher = createDecipheriv(CIPHER, derived.subarray(0, 16), iv)
  const key = concatBytes(decipher.update(ciphertext), decipher.final())
  const address = addressOfKeyOrNull(key)
  if (address === null) throw new WalletError('bad-key-file', 'it does not hold a key')
  if (file.address !== null && file.address !== address) {
    throw new WalletError('account-mismatch', `it claims ${file.address} but holds the key of ${address}`)
  }
  return key
}

/** Writes a key as a key file's text, in the form that other software writes and reads (chain.md §5). */
export async function encryptKey(
  key: Uint8Array,
  password: string,
  dice: Dice,
  cost: ScryptCost = STANDARD_COST,
): Promise<string> {
  const salt = dice.bytes(32)
  const iv = dice.bytes(16)
  const derived = await runScrypt(password, salt, cost)
  const cipher = createCipheriv('aes-128-ctr', derived.subarray(0, 16), iv)
  const ciphertext = concatBytes(cipher.update(key), cipher.final())
  const mac = keccak256(derived.subarray(16, 32), ciphertext)
  return JSON.stringify({
    address: addressOfKey(key).slice(2).toLowerCase(),
    crypto: {
      cipher: 'aes-128-ctr',
      ciphertext: bareHex(ciphertext),
      cipherparams: { iv: bareHex(iv) },
      kdf: 'scrypt',
      kdfparams: { dklen: 32, n: cost.n, p: cost.p, r: cost.r, salt: bareHex(salt) },
      mac: bareHex(mac),
    },
    id: randomUUID(),
    version: 3,
  })
}

async function deriveKey(crypto: KeyFileSection, password: string): Promise<Uint8Array> {
  const params = supported(() => derivation(crypto))
  if (params.kdf === 'scrypt') return runScrypt(password, params.salt, params)
  return pbkdf2Async(password, params.salt, params.c, KEY_BYTES, 'sha256')
}

type Derivation =
  | {
      readonly kdf: 'scrypt'
      readonly salt: Uint8Array
      readonly n: number
      readonly r: number
      readonly p: number
    }
  | { readonly kdf: 'pbkdf2'; readonly salt: Uint8Array; readonly c: number }

/** How the key is derived from the password. Throws an Error for what cannot be read here. */
function derivation(crypto: KeyFileSection): Derivation {
  const kdf = crypto.method('kdf')
  if (kdf !== 'scrypt' && kdf !== 'pbkdf2')
    throw crypto.refuse('kdf', 'where only scrypt and pbkdf2 can be read')
  const params = crypto.section('kdfparams')
  if (params.whole('dklen') !== KEY_BYTES) throw params.refuse('dklen', `not ${KEY_BYTES}`)
  const salt = params.hex('salt')
  if (kdf === 'scrypt') {
    const cost = { n: params.whole('n'), r: params.whole('r'), p: params.whole('p') }
    for (const name of ['r', 'p'] as const) if (cost[name] < 1) throw params.refuse(name, 'less than 1')
    if (cost.n < 2 || !Number.isInteger(Math.log2(cost.n))) throw params.refuse('n', 'not a power of two')
    return { kdf, salt, ...cost }
  }
  if (params.method('prf') !== PRF) throw params.refuse('prf', `where only ${PRF} can be read`)
  const c = params.whole('c')
  if (c < 1 || c > MAX_PBKDF2_ROUNDS) throw params.refuse('c', `not from 1 to ${MAX_PBKDF2_ROUNDS}`)
  return { kdf, salt, c }
}

async function runScrypt(password: string, salt: Uint8Array, { n, r, p }: ScryptCost): Promise<Uint8Array> {
  const bytes = 128 * n * r
  if (bytes > MAX_SCRYPT_BYTES || n * r * p > MAX_SCRYPT_WORK) {
    throw new WalletError(
      'unsupported-key-file',
      `its "crypto.kdfparams" ask for more memory or work than is given: scrypt with n=${n}, r=${r}, p=${p}`,
    )
  }
  return scrypt(password, salt, { n, r, p })
}

function addressOfKeyOrNull(key: Uint8Array): Address | null {
  try {
    return addressOfKey(key)
  } catch {
    return null
  }
}

/** Turns errors about an unsupported or incomplete file into WalletError `unsupported-key-file`. */
function supported<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new WalletError('unsupported-key-file', messageOf(error), { cause: error })
  }
}

function bareHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
