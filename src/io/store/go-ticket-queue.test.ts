import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { wonTicket } from '../../../test/suites/store.ts'
import { type GoRow, goRow, writeGoDatabase } from '../../../test/tools/go-database.ts'
import { ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { ManualClock } from '../../lib/clock.ts'
import { NodeError } from '../../lib/errors.ts'
import type { Fields } from '../../lib/log.ts'
import { silentLog } from '../../lib/log.ts'
import { TicketImport } from '../../services/redemption/ticket-import.ts'
import { readGoTicketQueue } from './go-ticket-queue.ts'
import { Store } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-import-'))
after(() => rmSync(folder, { recursive: true }))
const RECIPIENT = wonTicket(0).recipient
let files = 0

/** A database as the Go node keeps it. */
function goDatabase(rows: readonly GoRow[]): string {
  const path = join(folder, `${files++}-lpdb.sqlite3`)
  writeGoDatabase(path, rows)
  return path
}

test('open tickets of a Go node are imported unchanged, others are skipped, and the file is not modified', () => {
  const largest = { ...wonTicket(1), senderNonce: 2 ** 32 - 1, faceValue: 0n }
  const path = goDatabase([
    goRow(largest),
    goRow(wonTicket(2), { redeemedAt: '2026-01-02 03:05:06', txHash: `0x${'ab'.repeat(32)}` }),
    goRow(wonTicket(3), { txHash: `0x${'00'.repeat(32)}` }),
    goRow(wonTicket(4)),
  ])
  const before = readFileSync(path)
  const { tickets, unreadable } = readGoTicketQueue(path)
  assert.deepEqual(tickets, [largest, wonTicket(4)])
  assert.deepEqual(unreadable, [])
  assert.deepEqual(readFileSync(path), before)
})

test('rows that are not tickets are reported and do not stop the others', () => {
  const broken: [GoRow, RegExp][] = [
    [{ sig: new Uint8Array(64) }, /^sig has 64 bytes, not 65$/],
    [{ sender: 'nobody' }, /"nobody" is not an address/],
    [{ sender: 12 }, /^sender is not text$/],
    [{ faceValue: new Uint8Array(33) }, /^faceValue is not up to 32 bytes$/],
    [{ winProb: 'half' }, /^winProb is not up to 32 bytes$/],
    [{ senderNonce: -1 }, /^senderNonce is not a whole number below 4294967296$/],
    [{ recipientRandHash: '0xabcd' }, /^recipientRandHash has 2 bytes, not 32$/],
    [{ creationRoundBlockHash: 'zz' }, /not hexadecimal/],
    [{ creationRound: null }, /^creationRound is not a whole number/],
  ]
  for (const [fields, reason] of broken) {
    const { tickets, unreadable } = readGoTicketQueue(
      goDatabase([goRow(wonTicket(1), fields), goRow(wonTicket(2))]),
    )
    assert.deepEqual(tickets, [wonTicket(2)])
    assert.equal(unreadable.length, 1)
    assert.match(unreadable[0]!, reason)
  }
})

test('a queue that cannot be read is refused with the flag and the file to give', () => {
  const noDatabase = join(folder, 'text')
  writeFileSync(noDatabase, 'no database at all, but long enough to be looked at'.repeat(50))
  const empty = join(folder, 'empty')
  new DatabaseSync(empty).close()
  for (const [path, reason] of [
    [join(folder, 'missing'), 'there is no such file'],
    [noDatabase, 'file is not a database'],
    [empty, 'no such table: ticketQueue'],
  ] as const) {
    assert.throws(
      () => readGoTicketQueue(path),
      (error) =>
        error instanceof NodeError &&
        error.code === 'bad-ticket-queue' &&
        error.message ===
          `-importTicketQueue ${path}: ${reason}; give the lpdb.sqlite3 in the Go node's data folder`,
    )
  }
})

test('importing a queue several times adds its tickets once, and never those of other recipients', async (t) => {
  const mine = Array.from({ length: 450 }, (_, i) => wonTicket(i))
  const foreign = { ...wonTicket(999), recipient: wonTicket(0).sender }
  const sigOf = (ticket: WinningTicket) => ({ sig: ticketHashBytes(ticket) })
  const path = goDatabase([...mine, foreign].map((ticket) => goRow(ticket, sigOf(ticket))))
  const store = new Store({ location: join(folder, 'import.sqlite3') })
  await store.open()
  t.after(() => store.close())
  const said: [string, Fields | undefined][] = []
  const note = (message: string, fields?: Fields) => void said.push([message, fields])
  const log = { ...silentLog, info: note, warn: note, error: note }
  for (let time = 0; time < 2; time++) {
    const needs = { read: () => readGoTicketQueue(path), tickets: store, clock: new ManualClock(), log }
    await new TicketImport({ recipient: RECIPIENT }, needs).start()
  }
  assert.equal((await Array.fromAsync(store.unfinishedTickets())).flat().length, mine.length)
  assert.deepEqual(
    said.filter(([message]) => message === 'winning tickets taken over').map(([, fields]) => fields),
    [
      { found: 451, added: 450, known: 0 },
      { found: 451, added: 0, known: 450 },
    ],
  )
  assert.equal(said.filter(([message]) => message.includes('another recipient')).length, 2)
})

/** 65 bytes that differ for each ticket: the queue's primary key. */
function ticketHashBytes(ticket: WinningTicket): Uint8Array {
  const sig = new Uint8Array(65)
  sig.set(ticketHash(ticket))
  return sig
}
