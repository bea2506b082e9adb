import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf'
import { bytesToInt, leftPad } from '../../lib/bytes.ts'
import { type Address, checksumAddress } from '../../lib/crypto.ts'
import { NodeError } from '../../lib/errors.ts'

/** Why a message from a peer is refused. */
export type WireFault = 'bad-base64' | 'bad-message' | 'bad-enum'

/** A message from a peer that is invalid. */
export class WireError extends NodeError<WireFault> {
  override name = 'WireError'
}

/**
 * Larger messages are refused without parsing: a payment of 600 tickets takes about 45 KB, an info some hundred bytes.
 */
export const MAX_MESSAGE_BYTES = 256 * 1024

/** Characters of a name or an id. */
export const MAX_NAME = 1024
/** Characters of a URL. */
export const MAX_URL = 4096
const MAX_INT_BYTES = 32

/** Parses a message. Throws WireError `bad-message` without the library's own error text. */
export function parseMessage<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
): MessageShape<Schema> {
  if (bytes.length > MAX_MESSAGE_BYTES) throw badMessage(`more than ${MAX_MESSAGE_BYTES} bytes`)
  try {
    // Parsing a Buffer gives Buffer fields; the domain uses plain Uint8Arrays.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return fromBinary(schema, view, { readUnknownFields: false })
  } catch (cause) {
    throw new WireError('bad-message', 'cannot parse the message', { cause })
  }
}

/** Reads an address: pads a short one on the left, keeps the last 20 bytes of a long one (wire.md §6). */
export function readAddress(bytes: Uint8Array): Address {
  return checksumAddress(leftPad(bytes, 20))
}

/** Reads an integer of at most 256 bits, with any number of leading zeros. Throws WireError `bad-message`. */
export function readInt(bytes: Uint8Array, what: string): bigint {
  let start = 0
  while (bytes[start] === 0) start++
  if (bytes.length - start > MAX_INT_BYTES) throw badMessage(`the ${what} has more than 256 bits`)
  return bytesToInt(bytes.subarray(start))
}

/** Returns the text, or throws WireError `bad-message` when it has more than `limit` characters. */
export function boundedText(value: string, what: string, limit: number): string {
  if (value.length > limit) throw badMessage(`the ${what} has more than ${limit} characters`)
  return value
}

/** Returns the list, or throws WireError `bad-message` when it has more than `limit` items. */
export function boundedList<Item>(items: readonly Item[], what: string, limit: number): readonly Item[] {
  if (items.length > limit) throw badMessage(`more than ${limit} ${what}`)
  return items
}

/** The first word that has this number. Throws WireError `bad-enum` with `message` when none has. */
export function enumWord<Word extends string>(
  numbers: Readonly<Record<Word, number>>,
  number: number,
  message: string,
): Word {
  for (const word in numbers) if (numbers[word] === number) return word
  throw new WireError('bad-enum', message)
}

/** The error for a message that parses but breaks a rule. */
export function badMessage(what: string): WireError {
  return new WireError('bad-message', `cannot accept the message: ${what}`)
}
