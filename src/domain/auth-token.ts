import { concatBytes, intToFixedBytes } from '../lib/bytes.ts'
import { equalSecrets, hmacSha256 } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import type { AuthToken } from './segment.ts'

/** Why no token can be made. */
export type TokenMakingFault = 'bad-expiration'

/** Lifetime of an auth token, in seconds (wire.md §9). */
export const AUTH_TOKEN_SECONDS = 1800n

/** The expiration is an int64 on the wire. */
const EXPIRATION_BYTES = 8
const MAX_EXPIRATION = 2n ** 63n - 1n

/** A token is no longer used this many ms before its end: a tenth of its half hour (gateway.md §10, payments.md §1). */
const TOKEN_MARGIN_MS = 180_000

/**
 * A token that arrived with less than this to live is not renewed for its age but used until the peer refuses it.
 * Peers' tokens last half an hour, so either the clocks differ, or the peer forces new sessions to keep the credit of
 * the old ones.
 */
const MIN_TOKEN_LIFE_MS = 600_000

/** Why an auth token is refused. */
export type AuthTokenFault = 'token-missing' | 'token-invalid' | 'token-expired'

/** A refused auth token. The message is the text that peers are told (wire.md §9). */
export class AuthTokenError extends NodeError<AuthTokenFault> {
  override name = 'AuthTokenError'
}

/**
 * Makes the token of a session: an HMAC-SHA256 over session id and expiration, in Unix seconds (wire.md §9). Throws
 * NodeError `bad-expiration` for a time outside the wire's int64.
 */
export function makeAuthToken(key: Uint8Array, sessionId: string, expiration: bigint): AuthToken {
  const token = authenticate(key, sessionId, expiration)
  if (!token)
    throw new NodeError<TokenMakingFault>('bad-expiration', `a token cannot expire at ${expiration}`)
  return { token, sessionId, expiration }
}

/** Whether one of the keys made this token, whatever its age (EndTranscodingSession, wire.md §15). */
export function isAuthentic(keys: readonly Uint8Array[], token: AuthToken): boolean {
  let authentic = false
  for (const key of keys) {
    const expected = authenticate(key, token.sessionId, token.expiration)
    if (expected && equalSecrets(expected, token.token)) authentic = true
  }
  return authentic
}

/** Accepts a token for work, or throws AuthTokenError in the order of wire.md §9. `now` is in Unix seconds. */
export function checkAuthToken(keys: readonly Uint8Array[], token: AuthToken | null, now: bigint): AuthToken {
  if (!token) throw new AuthTokenError('token-missing', 'missing auth token')
  if (!isAuthentic(keys, token)) throw new AuthTokenError('token-invalid', 'invalid auth token')
  if (now > token.expiration) throw new AuthTokenError('token-expired', 'expired auth token')
  return token
}

/** Whether a token that arrived at `sinceMs` should be renewed now (gateway.md §10). */
export function isTokenEnding({ expiration }: AuthToken, sinceMs: number, nowMs: number): boolean {
  const endsMs = Number(expiration) * 1000
  return endsMs - sinceMs >= MIN_TOKEN_LIFE_MS && endsMs - nowMs <= TOKEN_MARGIN_MS
}

/** Names the purpose of the HMAC, so that no other use of the key can have the same preimage. */
const TOKEN_NAME = new TextEncoder().encode('livepeer-ts auth token 1')

/**
 * The preimage of a token's HMAC: a name, the length of the session id, the id, and the expiration in 8 bytes, so that
 * different tokens never have the same preimage (wire.md §9). Null for an expiration outside the wire's range.
 */
export function tokenPreimage(sessionId: string, expiration: bigint): Uint8Array | null {
  if (expiration < 0n || expiration > MAX_EXPIRATION) return null
  const id = new TextEncoder().encode(sessionId)
  return concatBytes(
    TOKEN_NAME,
    intToFixedBytes(BigInt(id.length), 4),
    id,
    intToFixedBytes(expiration, EXPIRATION_BYTES),
  )
}

function authenticate(key: Uint8Array, sessionId: string, expiration: bigint): Uint8Array | null {
  const message = tokenPreimage(sessionId, expiration)
  return message && hmacSha256(key, message)
}
