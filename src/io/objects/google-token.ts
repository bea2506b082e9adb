import { readFile } from 'node:fs/promises'
import { diskFault } from '../../lib/disk-fault.ts'
import { StoreError } from '../../lib/object-store.ts'

/** Gives a token that opens a bucket, a new one when the last expires. */
export type TokenSource = () => Promise<string>

const SCOPES = ['https://www.googleapis.com/auth/devstorage.read_write']

/** The key of a service account, as Google's files hold it. */
interface ServiceKey {
  readonly email: string
  readonly key: string
}

/**
 * Tokens for the service account of a key: a file, or the JSON itself; null for the credentials of the machine. Throws
 * StoreError `store-refused` for a key that is none.
 */
export async function googleTokens(key: string | null): Promise<TokenSource> {
  const { GoogleAuth, JWT } = await import('./google-library.ts')
  if (key === null) {
    const auth = new GoogleAuth({ scopes: SCOPES })
    return async () => checked(await auth.getAccessToken())
  }
  const jwt = new JWT({ ...serviceKeyOf(await textOf(key)), scopes: SCOPES })
  return async () => checked((await jwt.getAccessToken()).token)
}

async function textOf(key: string): Promise<string> {
  if (key.trimStart().startsWith('{')) return key
  try {
    return await readFile(key, 'utf8')
  } catch (error) {
    const reason = diskFault(error) ?? 'it is not there'
    throw new StoreError('store-refused', `the key file for Google’s store cannot be read: ${reason}`)
  }
}

function serviceKeyOf(text: string): ServiceKey {
  try {
    const { client_email: email, private_key: key } = JSON.parse(text) as Record<string, unknown>
    if (typeof email === 'string' && typeof key === 'string') return { email, key }
  } catch {
    // JSON.parse quotes what it cannot read, which may be a key.
  }
  throw new StoreError(
    'store-refused',
    'the key for Google’s store is no JSON with client_email and private_key',
  )
}

function checked(token: string | null | undefined): string {
  if (token) return token
  throw new StoreError('store-refused', 'Google gives no token for the key')
}
