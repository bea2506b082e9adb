import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { WinningTicket } from '../../src/domain/ticket.ts'
import { formatHex, intToBytes } from '../../src/lib/bytes.ts'

/** A row of a Go node's queue of winning tickets. */
export type GoRow = Record<string, SQLInputValue>

/** Writes a new database in a Go node's format (operations.md §3). */
export function writeGoDatabase(path: string, rows: readonly GoRow[]): void {
  const file = new DatabaseSync(path)
  file.exec(`create table ticketQueue (createdAt DATETIME, sender STRING, recipient STRING, faceValue BLOB, winProb BLOB,
    senderNonce INTEGER, recipientRand BLOB, recipientRandHash STRING, sig BLOB primary key, creationRound int64,
    creationRoundBlockHash STRING, paramsExpirationBlock int64, redeemedAt DATETIME, txHash STRING)`)
  for (const row of rows) {
    const columns = Object.keys(row)
    file
      .prepare(
        `insert into ticketQueue (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`,
      )
      .run(...Object.values(row))
  }
  file.close()
}

/** The row of an open ticket in a Go node. */
export function goRow(ticket: WinningTicket, fields: GoRow = {}): GoRow {
  return {
    createdAt: '2026-01-02 03:04:05',
    sender: ticket.sender,
    recipient: ticket.recipient,
    faceValue: intToBytes(ticket.faceValue),
    winProb: intToBytes(ticket.winProb),
    senderNonce: ticket.senderNonce,
    recipientRand: intToBytes(ticket.recipientRand),
    recipientRandHash: formatHex(ticket.recipientRandHash),
    sig: ticket.sig,
    creationRound: ticket.expirationParams.creationRound,
    creationRoundBlockHash: formatHex(ticket.expirationParams.creationRoundBlockHash),
    paramsExpirationBlock: ticket.paramsExpirationBlock,
    ...fields,
  }
}
