import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { bytesToInt, parseHex } from '../../lib/bytes.ts'
import { parseAddress } from '../../lib/crypto.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'

/** Why tickets of another node cannot be taken over. */
export type TicketQueueFault = 'bad-ticket' | 'bad-ticket-queue'

/** How long to wait for a Go node that is writing. */
const BUSY_MS = 5_000
const MAX_NONCE = 2n ** 32n

/** The contents of a Go node's ticket queue. */
export interface GoTicketQueue {
  /** Tickets that are neither redeemed nor given up. */
  readonly tickets: readonly WinningTicket[]
  /** Why rows cannot be read as tickets, one sentence each. */
  readonly unreadable: readonly string[]
}

interface Row {
  readonly sender: unknown
  readonly recipient: unknown
  readonly faceValue: unknown
  readonly winProb: unknown
  readonly senderNonce: unknown
  readonly recipientRand: unknown
  readonly recipientRandHash: unknown
  readonly sig: unknown
  readonly creationRound: unknown
  readonly creationRoundBlockHash: unknown
  readonly paramsExpirationBlock: unknown
}

/**
 * Reads the open winning tickets from a Go node's `lpdb.sqlite3` (operations.md §3). The file is only read and may be
 * in use. Throws NodeError `bad-ticket-queue` if it cannot be read.
 */
export function readGoTicketQueue(path: string): GoTicketQueue {
  // SQLite would only say that the file cannot be opened.
  if (!existsSync(path)) throw queueError(path, 'there is no such file')
  let file: DatabaseSync | null = null
  try {
    file = new DatabaseSync(path, { readOnly: true })
    file.exec(`pragma busy_timeout = ${BUSY_MS}`)
    const query = file.prepare(
      `select sender, recipient, faceValue, winProb, senderNonce, recipientRand, recipientRandHash, sig, creationRound,
        creationRoundBlockHash, paramsExpirationBlock
       from ticketQueue where redeemedAt is null and txHash is null`,
    )
    query.setReadBigInts(true)
    return ticketsOf(query.iterate() as Iterable<unknown> as Iterable<Row>)
  } catch (error) {
    throw queueError(path, messageOf(error))
  } finally {
    file?.close()
  }
}

function queueError(path: string, reason: string): NodeError {
  return new NodeError<TicketQueueFault>(
    'bad-ticket-queue',
    `-importTicketQueue ${path}: ${reason}; give the lpdb.sqlite3 in the Go node's data folder`,
  )
}

function ticketsOf(rows: Iterable<Row>): GoTicketQueue {
  const tickets: WinningTicket[] = []
  const unreadable: string[] = []
  for (const row of rows) {
    try {
      const ticket = ticketOf(row)
      // A ticket that cannot be hashed cannot be stored either.
      ticketHash(ticket)
      tickets.push(ticket)
    } catch (error) {
      unreadable.push(messageOf(error))
    }
  }
  return { tickets, unreadable }
}

function ticketOf(row: Row): WinningTicket {
  return {
    sender: parseAddress(text('sender', row.sender)),
    recipient: parseAddress(text('recipient', row.recipient)),
    faceValue: bytesToInt(blob('faceValue', row.faceValue, 32)),
    winProb: bytesToInt(blob('winProb', row.winProb, 32)),
    senderNonce: Number(integer('senderNonce', row.senderNonce, MAX_NONCE)),
    recipientRand: bytesToInt(blob('recipientRand', row.recipientRand, 32)),
    recipientRandHash: hash('recipientRandHash', row.recipientRandHash),
    sig: exactly('sig', blob('sig', row.sig, 65), 65),
    expirationParams: {
      creationRound: integer('creationRound', row.creationRound, 2n ** 63n),
      creationRoundBlockHash: hash('creationRoundBlockHash', row.creationRoundBlockHash),
    },
    paramsExpirationBlock: integer('paramsExpirationBlock', row.paramsExpirationBlock, 2n ** 63n),
  }
}

function text(column: string, value: unknown): string {
  if (typeof value !== 'string') throw new NodeError<TicketQueueFault>('bad-ticket', `${column} is not text`)
  return value
}

function blob(column: string, value: unknown, most: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length > most) {
    throw new NodeError<TicketQueueFault>('bad-ticket', `${column} is not up to ${most} bytes`)
  }
  return value
}

function hash(column: string, value: unknown): Uint8Array {
  return exactly(column, parseHex(text(column, value)), 32)
}

function exactly(column: string, bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) {
    throw new NodeError<TicketQueueFault>('bad-ticket', `${column} has ${bytes.length} bytes, not ${length}`)
  }
  return bytes
}

function integer(column: string, value: unknown, limit: bigint): bigint {
  if (typeof value !== 'bigint' || value < 0n || value >= limit) {
    throw new NodeError<TicketQueueFault>('bad-ticket', `${column} is not a whole number below ${limit}`)
  }
  return value
}
