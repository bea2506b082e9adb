import { createHmac, timingSafeEqual } from 'node:crypto'

/** Request header by which a node of a cluster shows a sibling that it is one. */
export const SIBLING_HEADER = 'livepeer-sibling'

/** Nodes go by the database's clock, so little may lie between them. */
const VALID_MS = 30_000
const TOKEN = /^([0-9a-f]{16}) (\d{1,16}) ([0-9a-f]{64})$/

/** What a token is for: one request of one node to another. */
export interface SiblingCall {
  /** The id of the node that is called. */
  readonly to: string
  /** Such as `POST`. */
  readonly method: string
  /** Of the URL, as sent. */
  readonly path: string
}

/** The token of a call, which holds for half a minute and for nothing else. `secret` is the cluster's. */
export function makeSiblingToken(
  secret: Uint8Array,
  call: SiblingCall & { readonly from: string },
  nowMs: number,
): string {
  const atMs = Math.round(nowMs)
  return `${call.from} ${atMs} ${macOf(secret, call, atMs).toString('hex')}`
}

/** The id of the node that made a token for this call with one of these secrets; null for any other text. */
export function senderOfToken(
  secrets: readonly Uint8Array[],
  text: unknown,
  call: SiblingCall,
  nowMs: number,
): string | null {
  const [, from = '', at = '', mac = ''] = (typeof text === 'string' && TOKEN.exec(text)) || []
  const atMs = Number(at)
  if (from === '' || Math.abs(nowMs - atMs) > VALID_MS) return null
  const shown = Buffer.from(mac, 'hex')
  const isRight = (secret: Uint8Array) => timingSafeEqual(macOf(secret, { ...call, from }, atMs), shown)
  return secrets.some(isRight) ? from : null
}

function macOf(
  secret: Uint8Array,
  { from, method, path, to }: SiblingCall & { readonly from: string },
  atMs: number,
): Buffer {
  const text = ['livepeer sibling', from, to, String(atMs), method, path].join('\n')
  return createHmac('sha256', secret).update(text).digest()
}
