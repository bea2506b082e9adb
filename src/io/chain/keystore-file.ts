import { createCipheriv, createDecipheriv, pbkdf2, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import { concatBytes, parseHex } from '../../lib/bytes.ts'
import { type Address, addressOfKey, equalSecrets, keccak256, parseAddress } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { NodeError } from '../../lib/errors.ts'
import { type ScryptCost, scrypt } from '../../lib/scrypt.ts'

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

/** What other software writes too: about 256 MiB and a second (chain.md §5). */
export const STANDARD_COST: ScryptCost = { n: 262_144, r: 8, p: 1 }

/** A key file may ask for this much memory and work, not more: a hostile one would stop the machine. */
const MAX_SCRYPT_BYTES = 2 ** 30
const MAX_SCRYPT_WORK = 2 ** 26
const MAX_PBKDF2_ROUNDS = 20_000_000
/** Key files have some 500 bytes. */
export const MAX_KEY_FILE_BYTES = 64 * 1024

const hexText = z.string().max(2048).transform(parseHex)
const keyFileSchema = z.object({
  version: z.union([z.literal(3), z.literal('3')]),
  address: z.string().optional(),
  crypto: z.object({
    cipher: z.string(),
    ciphertext: hexText,
    cipherparams: z.object({ iv: hexText }),
    mac: hexText,
    kdf: z.string(),
    kdfparams: z.record(z.string(), z.unknown()),
  }),
})
const scryptSchema = z.object({
  n: z.int().min(2),
  r: z.int().min(1),
  p: z.int().min(1),
  dklen: z.literal(32),
  salt: hexText,
})
const pbkdf2Schema = z.object({
  c: z.int().min(1).max(MAX_PBKDF2_ROUNDS),
  prf: z.literal('hmac-sha256'),
  dklen: z.literal(32),
  salt: hexText,
})

/** A key file read but not opened. */
export interface KeyFile {
  /** As the file claims; null where it keeps it to itself. */
  readonly address: Address | null
  readonly crypto: z.infer<typeof keyFileSchema>['crypto']
}

const pbkdf2Async = promisify(pbkdf2)

/** Reads a Web3 Secret Storage V3 file's text. Throws WalletError `bad-key-file`. */
export function parseKeyFile(text: string): KeyFile {
  try {
    const raw = JSON.parse(text) as Record<string, unknown>
    // Some old software wrote the section's name with a capital.
    const { address, crypto } = keyFileSchema.parse({ ...raw, crypto: raw.crypto ?? raw.Crypto })
    return { address: address ? parseAddress(address.toLowerCase()) : null, crypto }
  } catch (error) {
    throw new WalletError('bad-key-file', 'it is not a Web3 key file of version 3', { cause: error })
  }
}

/** Opens a key file. Throws WalletError `wrong-password`, `unsupported-key-file` or `account-mismatch`. */
export async function decryptKeyFile(file: KeyFile, password: string): Promise<Uint8Array> {
  const { cipher, cipherparams, ciphertext, mac } = file.crypto
  if (cipher !== 'aes-128-ctr') throw unsupported(`the cipher ${cipher.slice(0, 40)}`)
  const derived = await deriveKey(file, password)
  if (!equalSecrets(keccak256(derived.subarray(16, 32), ciphertext), mac)) {
    throw new WalletError('wrong-password', 'the password does not open this key file')
  }
  if (cipherparams.iv.length !== 16) throw unsupported('its initialisation vector')
  const decipher = createDecipheriv('aes-128-ctr', derived.subarray(0, 16), cipherparams.iv)
  const key = concatBytes(decipher.update(ciphertext), decipher.final())
  const address = addressOfKeyOrNull(key)
  if (address === null) throw new WalletError('bad-key-file', 'what it holds is not a key')
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

async function deriveKey(file: KeyFile, password: string): Promise<Uint8Array> {
  const { kdf, kdfparams } = file.crypto
  if (kdf === 'scrypt') {
    const params = scryptSchema.safeParse(kdfparams)
    if (!params.success) throw unsupported('its scrypt parameters')
    return runScrypt(password, params.data.salt, params.data)
  }
  if (kdf === 'pbkdf2') {
    const params = pbkdf2Schema.safeParse(kdfparams)
    if (!params.success) throw unsupported('its pbkdf2 parameters')
    return pbkdf2Async(password, params.data.salt, params.data.c, 32, 'sha256')
  }
  throw unsupported(`the key derivation ${kdf.slice(0, 40)}`)
}

async function runScrypt(password: string, salt: Uint8Array, { n, r, p }: ScryptCost): Promise<Uint8Array> {
  const bytes = 128 * n * r
  if (!Number.isInteger(Math.log2(n)) || bytes > MAX_SCRYPT_BYTES || n * r * p > MAX_SCRYPT_WORK) {
    throw unsupported(`scrypt with n=${n}, r=${r}, p=${p}`)
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

function unsupported(what: string): WalletError {
  return new WalletError('unsupported-key-file', `${what} cannot be read`)
}

function bareHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
