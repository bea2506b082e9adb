import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { type Address, addressOfKey } from '../../lib/crypto.ts'
import { type Dice, systemDice } from '../../lib/dice.ts'
import { diskFault } from '../../lib/disk-fault.ts'
import { messageOf } from '../../lib/errors.ts'
import {
  encryptKey,
  type KeyFile,
  MAX_KEY_FILE_BYTES,
  parseKeyFile,
  STANDARD_COST,
  WalletError,
} from './keystore-file.ts'

/** An account's file in the keystore. */
export interface KeystoreEntry {
  readonly path: string
  readonly address: Address
  readonly file: KeyFile
}

/** What a keystore directory holds. */
export interface KeystoreListing {
  /** In the order of their paths (chain.md §5). */
  readonly accounts: readonly KeystoreEntry[]
  /** Files that cannot be used, with the reason; they are left alone. */
  readonly ignored: readonly { readonly path: string; readonly why: string }[]
}

/** A directory with more files is not a keystore. */
const MAX_FILES = 10_000

/** Reads a keystore directory; a missing one is empty. Hidden files, links, folders and foreign files do not count. */
export async function listKeystore(directory: string): Promise<KeystoreListing> {
  const names = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new WalletError(
      'keystore-unusable',
      `the keystore ${directory} cannot be read, ${diskFault(error) ?? error.message}`,
    )
  })
  const accounts: KeystoreEntry[] = []
  const ignored: { path: string; why: string }[] = []
  const regular = names.filter((entry) => entry.isFile() && !/^\.|~$/.test(entry.name)).slice(0, MAX_FILES)
  for (const { name } of regular.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, name)
    try {
      accounts.push(await readEntry(path))
    } catch (error) {
      ignored.push({ path, why: messageOf(error instanceof WalletError ? (error.cause ?? error) : error) })
    }
  }
  return { accounts, ignored }
}

/** Reads one key file that must be one and must name its address. Throws WalletError. */
export async function readEntry(path: string): Promise<KeystoreEntry> {
  try {
    if ((await stat(path)).size > MAX_KEY_FILE_BYTES) throw new WalletError('bad-key-file', 'it is too large')
    const file = parseKeyFile(await readFile(path, 'utf8'))
    if (file.address === null) throw new WalletError('bad-key-file', 'it does not name its address')
    return { path, address: file.address, file }
  } catch (error) {
    const code = error instanceof WalletError ? error.code : 'bad-key-file'
    throw new WalletError(code, `the key file ${path} cannot be used: ${messageOf(error)}`, { cause: error })
  }
}

/** How a key file is written; randomness and time are the machine's unless given. */
export interface KeyFileOptions {
  readonly dice?: Dice
  readonly nowMs?: number
  /** scrypt's n; absent: the standard (chain.md §5). */
  readonly scryptN?: number
}

/** Creates an account and its file. */
export async function createAccount(
  directory: string,
  password: string,
  options: KeyFileOptions & { dice: Dice },
): Promise<{ path: string; key: Uint8Array }> {
  const key = newKey(options.dice)
  return { path: await writeKeyFile(directory, key, password, options), key }
}

/** Writes a key into a keystore: complete and private from the moment it has its name. Returns the file's path. */
export async function writeKeyFile(
  directory: string,
  key: Uint8Array,
  password: string,
  options: KeyFileOptions = {},
): Promise<string> {
  const cost = { ...STANDARD_COST, n: options.scryptN ?? STANDARD_COST.n }
  const text = await encryptKey(key, password, options.dice ?? systemDice, cost)
  try {
    return await putKeyFile(directory, key, text, options)
  } catch (error) {
    throw new WalletError(
      'keystore-unusable',
      `no key file can be written in ${directory}, ${diskFault(error) ?? messageOf(error)}: fix that, or give another -ethKeystorePath or -dataDir`,
      { cause: error },
    )
  }
}

async function putKeyFile(
  directory: string,
  key: Uint8Array,
  text: string,
  options: KeyFileOptions,
): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const name = keyFileName(addressOfKey(key), options.nowMs ?? systemClock.now())
  const path = join(directory, name)
  const temporary = join(directory, `.${name}.tmp`)
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    // A key lost in a power cut after its first use would be money lost.
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, path).catch(async (error) => {
    await unlink(temporary).catch(() => {})
    throw error
  })
  return path
}

/** `UTC--<time with nine digits of a second>Z--<address>` (chain.md §5). */
export function keyFileName(address: Address, nowMs: number): string {
  const time = new Date(nowMs).toISOString().replaceAll(':', '-').replace('Z', '000000Z')
  return `UTC--${time}--${address.slice(2).toLowerCase()}`
}

function newKey(dice: Dice): Uint8Array {
  for (;;) {
    const key = dice.bytes(32)
    try {
      addressOfKey(key)
      return key
    } catch {
      // Zero or above the curve's order: one draw in 2^128.
    }
  }
}
