import { readFile, stat } from 'node:fs/promises'
import { serializeTransaction, type TransactionSerializableEIP1559 } from 'viem'
import { privateKeyToAccount, sign } from 'viem/accounts'
import { z } from 'zod'
import { formatHex, type Hex, parseHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Address, addressOfKey, keccak256, type Signer, signHash } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import type { Log } from '../../lib/log.ts'
import {
  createAccount,
  type KeystoreEntry,
  type KeystoreListing,
  listKeystore,
  readEntry,
} from './keystore.ts'
import { decryptKeyFile, WalletError } from './keystore-file.ts'

/** What of the settings concerns the node's account. */
export interface WalletOptions {
  /** The keystore of the data directory, used unless `keystorePath` says otherwise. */
  readonly keystoreDirectory: string
  /** `-ethKeystorePath`: a directory, or one key file. */
  readonly keystorePath: string | null
  /** `-ethAcctAddr`. */
  readonly address: Address | null
  /** `-ethPassword`: the password, or the path of a file that holds it; null when it was not given. */
  readonly password: string | null
  /** scrypt's n for a new key file; absent: the standard. */
  readonly scryptN?: number
  /** What a new account needs before it is of use, such as `send it ether`; absent or empty: nothing. */
  readonly newAccountNeeds?: string
}

/** Asks a person at a terminal; null where there is none. */
export type Prompt = (question: string) => Promise<string>

const typedDataSchema = z.object({
  types: z.record(z.string(), z.array(z.object({ name: z.string(), type: z.string() }))),
  primaryType: z.string(),
  domain: z.record(z.string(), z.unknown()),
  message: z.record(z.string(), z.unknown()),
})

/** The node's account: signs messages and transactions. The key stays inside. */
export class Wallet implements Signer {
  readonly address: Address
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
    this.address = addressOfKey(key)
  }

  /** Signs a 32-byte hash as a personal message: 65 bytes r‖s‖v (chain.md §5). */
  async sign(hash: Uint8Array): Promise<Uint8Array> {
    return signHash(this.#key, hash)
  }

  /** Signs a text as a personal message (EIP-191): 65 bytes r‖s‖v. */
  async signText(text: string): Promise<Uint8Array> {
    const message = { raw: formatHex(Buffer.from(text)) }
    return parseHex(await privateKeyToAccount(formatHex(this.#key)).signMessage({ message }))
  }

  /** Signs typed data as somebody sent it (EIP-712). Throws Error for what is none. */
  async signTypedJson(data: unknown): Promise<Hex> {
    const read = typedDataSchema.safeParse(data)
    if (read.success) return this.signTypedData(read.data as Parameters<Wallet['signTypedData']>[0])
    const { message, path } = read.error.issues[0]!
    throw new Error(`${path.join('.')}: ${message}`)
  }

  /** Signs EIP-712 typed data: 65 bytes r‖s‖v. */
  async signTypedData(
    data: Parameters<ReturnType<typeof privateKeyToAccount>['signTypedData']>[0],
  ): Promise<Hex> {
    return privateKeyToAccount(formatHex(this.#key)).signTypedData(data)
  }

  /** Signs a transaction. Deterministic, so what was signed before a restart is signed again to the same bytes. */
  async signTransaction(transaction: TransactionSerializableEIP1559): Promise<{ raw: Hex; hash: Hex }> {
    const digest = keccak256(Buffer.from(serializeTransaction(transaction).slice(2), 'hex'))
    const signature = await sign({ hash: formatHex(digest), privateKey: formatHex(this.#key) })
    const raw = serializeTransaction(transaction, signature)
    return { raw, hash: formatHex(keccak256(Buffer.from(raw.slice(2), 'hex'))) }
  }
}

/** A wallet of an account that exists for this run alone, for tools and tests. */
export function walletOfKey(key: Uint8Array): Wallet {
  return new Wallet(key)
}

/** A file larger than this is no password file. */
const MAX_PASSWORD_FILE_BYTES = 64 * 1024

/**
 * The password itself, out of what may be the path of the file that holds it (chain.md §5). Resolved once, so that a
 * new key and every later opening of it use the same one (chain.md §20, A3).
 */
export async function resolvePassword(textOrPath: string): Promise<string> {
  if (textOrPath === '' || textOrPath.includes('\0')) return textOrPath
  const file = await stat(textOrPath).catch(() => null)
  if (!file?.isFile() || file.size === 0 || file.size > MAX_PASSWORD_FILE_BYTES) return textOrPath
  const content = await readFile(textOrPath, 'utf8').catch(() => null)
  return content === null ? textOrPath : content.trim()
}

/** The account that a node would use. */
export type ChosenAccount =
  | {
      readonly kind: 'found'
      readonly entry: KeystoreEntry
      /** Accounts of the keystore that could be meant too, as none was named. */
      readonly others: readonly Address[]
      /** What else lies in the keystore and cannot be used, as a text; empty for nothing. */
      readonly ignored: string
    }
  /** The keystore is empty, so that one would be created there. */
  | { readonly kind: 'none'; readonly directory: string }

/**
 * Finds the node's account, locked. One would be made only where the keystore is empty and none was named; a name that is
 * not found is refused with the names that are there. Throws WalletError.
 */
export async function chooseAccount(
  options: Pick<WalletOptions, 'keystoreDirectory' | 'keystorePath' | 'address'>,
): Promise<ChosenAccount> {
  const place = await keystorePlace(options)
  if (place.kind === 'file') {
    const entry = await readEntry(place.path)
    if (options.address !== null && options.address !== entry.address) {
      throw new WalletError(
        'account-mismatch',
        `-ethKeystorePath ${place.path} is the key of ${entry.address}, but -ethAcctAddr asks for ${options.address}`,
      )
    }
    return { kind: 'found', entry, others: [], ignored: '' }
  }
  const { accounts, ignored } = await listKeystore(place.path)
  const unusable = ignored.length > 0 ? unreadable(ignored) : ''
  if (options.address !== null) {
    const entry = accounts.find(({ address }) => address === options.address)
    if (!entry) throw accountNotFound(options.address, place.path, { accounts, ignored })
    return { kind: 'found', entry, others: [], ignored: unusable }
  }
  const [first, ...others] = accounts
  if (first)
    return { kind: 'found', entry: first, others: others.map(({ address }) => address), ignored: unusable }
  if (unusable !== '') {
    throw new WalletError(
      'bad-key-file',
      `no account in the keystore ${place.path} can be read, and it is not empty (${unusable}): repair or remove what is there; no account is created beside it`,
    )
  }
  return { kind: 'none', directory: place.path }
}

/**
 * Opens the node's account, or makes one where the keystore is empty. Never waits for a person where there is no terminal
 * (chain.md §20, A1, A2). Throws WalletError.
 */
export async function openWallet(
  options: WalletOptions,
  needs: { dice: Dice; clock: Clock; log: Log; prompt: Prompt | null },
): Promise<Wallet> {
  const password = options.password === null ? null : await resolvePassword(options.password)
  const chosen = await chooseAccount(options)
  if (chosen.kind === 'none') return create(chosen.directory, password, options, needs)
  const { entry, ignored, others } = chosen
  if (ignored !== '') needs.log.warn('files in the keystore that cannot be used', { files: ignored })
  if (others.length > 0) {
    needs.log.warn('several accounts in the keystore, using the first: name one with -ethAcctAddr', {
      used: entry.address,
      others: others.slice(0, MAX_LISTED),
    })
  }
  return unlock(entry, password, needs.prompt)
}

const MAX_LISTED = 20

async function keystorePlace(
  options: Pick<WalletOptions, 'keystoreDirectory' | 'keystorePath'>,
): Promise<{ kind: 'file' | 'directory'; path: string }> {
  const path = options.keystorePath
  if (path === null) return { kind: 'directory', path: options.keystoreDirectory }
  const found = await stat(path).catch(() => null)
  if (found === null) {
    throw new WalletError(
      'keystore-unusable',
      `-ethKeystorePath ${path} does not exist: name a directory or a key file`,
    )
  }
  return { kind: found.isDirectory() ? 'directory' : 'file', path }
}

async function unlock(entry: KeystoreEntry, password: string | null, prompt: Prompt | null): Promise<Wallet> {
  const attempt = async (text: string) => {
    try {
      return new Wallet(await decryptKeyFile(entry.file, text))
    } catch (error) {
      if (!(error instanceof WalletError) || error.code === 'wrong-password') throw error
      throw new WalletError(error.code, `the key file ${entry.path} cannot be used: ${error.message}`, {
        cause: error,
      })
    }
  }
  try {
    return await attempt(password ?? '')
  } catch (error) {
    if (!(error instanceof WalletError) || error.code !== 'wrong-password') throw error
    if (password) {
      throw new WalletError(
        'wrong-password',
        `-ethPassword does not open the account ${entry.address} (${entry.path}); it may be the password or the path of a file that holds it`,
      )
    }
    if (prompt === null) {
      throw new WalletError(
        'no-password',
        `the account ${entry.address} (${entry.path}) needs its password and there is no terminal to ask at: give it with -ethPassword, as text or as the path of a file`,
      )
    }
    return attempt(await prompt(`Password of ${entry.address}: `)).catch(() => {
      throw new WalletError('wrong-password', `that is not the password of ${entry.address}`)
    })
  }
}

async function create(
  directory: string,
  given: string | null,
  options: WalletOptions,
  needs: { dice: Dice; clock: Clock; log: Log; prompt: Prompt | null },
): Promise<Wallet> {
  const password = given || (await newPassword(directory, needs.prompt))
  const { path, key } = await createAccount(directory, password, {
    dice: needs.dice,
    nowMs: needs.clock.now(),
    ...(options.scryptN ? { scryptN: options.scryptN } : {}),
  })
  const wallet = new Wallet(key)
  const { newAccountNeeds = '' } = options
  const also = newAccountNeeds === '' ? '' : ` and ${newAccountNeeds}`
  needs.log.warn(`new account created: back up its file${also}`, { address: wallet.address, path })
  return wallet
}

async function newPassword(directory: string, prompt: Prompt | null): Promise<string> {
  if (prompt === null) {
    throw new WalletError(
      'no-password',
      `the keystore ${directory} is empty and a new account needs a password: give one with -ethPassword, as text or as the path of a file`,
    )
  }
  const password = await prompt('Password of the new account: ')
  if (password === '')
    throw new WalletError('no-password', 'a new account needs a password that is not empty')
  if ((await prompt('The same again: ')) !== password) {
    throw new WalletError('passphrases-do-not-match', 'passphrases do not match')
  }
  return password
}

function accountNotFound(
  address: Address,
  directory: string,
  { accounts, ignored }: KeystoreListing,
): WalletError {
  const available = accounts.slice(0, MAX_LISTED).map((entry) => entry.address)
  const rest = available.length === 0 ? 'which holds none' : `which holds ${available.join(', ')}`
  const others = ignored.length === 0 ? '' : `; what cannot be used there: ${unreadable(ignored)}`
  return new WalletError(
    'account-not-found',
    `-ethAcctAddr ${address} is not in the keystore ${directory}, ${rest}${others}; no account is created in its place`,
  )
}

function unreadable(ignored: KeystoreListing['ignored']): string {
  return ignored
    .slice(0, MAX_LISTED)
    .map(({ path, why }) => `${path}: ${why}`)
    .join('; ')
}
