import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Postgres } from '../../../devnet/postgres.ts'
import { paymentRecord, wonTicket } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { type Member, NO_WORK } from '../../domain/member.ts'
import { ticketHash } from '../../domain/ticket.ts'
import { seededDice } from '../../lib/dice.ts'
import { Rational } from '../../lib/rational.ts'
import { copyStore } from './copy-store.ts'
import { MemberRows } from './member-rows.ts'
import type { Location } from './open.ts'
import { Store } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'livepeer-copy-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const newFile = (): Location => ({ location: join(folder, `${files++}`, 'node.sqlite3') })

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
})
after(() => postgres.stop())

const NOW = 1_700_000_000_000
const SENDER = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const TX = `0x${'ab'.repeat(32)}` as const
const TICKETS = 1_203
/** Nonces with one secret number. */
const PER_RAND = 600

const MEMBER: Member = {
  ...{ node: '0123456789abcdef', instance: 'fedcba9876543210', account: '', roles: ['redeemer'] },
  ...{ version: '1', address: '10.0.0.7:8935', fingerprint: '', work: NO_WORK },
}

/** A store with some of everything; more tickets and nonces than are copied at once. */
async function filled(place: Location): Promise<Store> {
  const store = new Store(place, { dice: seededDice('copy') })
  await store.open()
  await store.bindChain(42161n)
  await store.records.saveCursor('{"number":"7"}')
  store.hear({ kind: 'round-begun', round: 12n })
  await store.secrets('ticket')
  await store.rotateSecret('ticket', 0, NOW)
  await store.secrets('auth-token')
  const nonces = Array.from({ length: TICKETS }, (_, i) => i)
  const winners = nonces.map((n) => wonTicket(n))
  const credit = Rational.of(7n, 2n ** 256n - 1n)
  for (let from = 0; from < TICKETS; from += PER_RAND) {
    const some = {
      nonces: nonces.slice(from, from + PER_RAND),
      winners: winners.slice(from, from + PER_RAND),
    }
    const recipientRandHash = new Uint8Array(32).fill(1 + from / PER_RAND)
    assert.ok(await store.recordPayment(paymentRecord({ ...some, credit, recipientRandHash })))
  }
  await store.sessions.debit(SENDER, 'other', Rational.of(10n, 3n), NOW)
  const redemption = { txHash: TX, block: 2n ** 40n, paid: 10n ** 20n, fee: 3n, kind: 'redeemed' } as const
  await store.saveTicketState(ticketHash(winners[3]!), redemption, NOW)
  await store.reveal(new Uint8Array(32).fill(9), 140n)
  return store
}

/** All that a store tells, without the place of the node on the chain. */
async function contentOf(store: Store) {
  const tickets = []
  for await (const some of store.unfinishedTickets()) tickets.push(...some)
  return {
    secrets: [await store.secrets('ticket'), await store.secrets('auth-token')],
    nonces: await store.noncesOf(new Uint8Array(32).fill(1)),
    revealed: (await store.noncesOf(new Uint8Array(32).fill(9))).revealed,
    balances: [
      `${await store.sessions.balance(SENDER, 'deadbeef')}`,
      `${await store.sessions.balance(SENDER, 'other')}`,
      `${await store.sessions.price(SENDER, 'deadbeef')}`,
    ],
    money: await store.money(NOW),
    counts: await store.countTickets(),
    redeemed: await store.redeemedSince(0n),
    tickets: tickets.sort((a, b) => Buffer.compare(a.hash, b.hash)),
  }
}

test('a store moves to PostgreSQL and back with every row, but without how far it followed the chain', async () => {
  const source = newFile()
  const store = await filled(source)
  const before = await contentOf(store)
  assert.equal(before.tickets.length, TICKETS - 1)
  await store.close()
  const shared: Location = { location: await postgres.newDatabase(), schema: 'east' }
  const copied = await copyStore(source, shared)
  assert.deepEqual(
    copied.map(({ rows, table }) => `${table} ${rows}`),
    [
      ...['kv 1', 'secrets 3', `tickets ${TICKETS}`, 'ticket_totals 2', `nonces ${TICKETS}`],
      ...[
        'revealed_rands 1',
        'balances 2',
        'money 3',
        'transactions 0',
        'ticket_story 1',
        'ticket_transactions 0',
        'ledger 1',
        'rewards 0',
        'control_settings 0',
        'control_changes 0',
      ],
    ],
  )
  const back = newFile()
  await copyStore(shared, back)
  for (const place of [shared, back]) {
    const copy = new Store(place)
    await copy.open()
    copy.hear({ kind: 'round-begun', round: 12n })
    assert.deepEqual(await contentOf(copy), before)
    assert.equal(await copy.records.loadCursor(), null)
    await assert.rejects(copy.bindChain(1n), { code: 'wrong-chain' })
    await copy.close()
  }
})

test('a target with rows is left as it is', async () => {
  const source = newFile()
  await (await filled(source)).close()
  const target = newFile()
  const other = await filled(target)
  await other.close()
  await assert.rejects(copyStore(source, target), {
    code: 'store-not-empty',
    message: `${target.location} has rows in its table kv already, so nothing was copied: give another file`,
  })
  const shared: Location = { location: await postgres.newDatabase() }
  await copyStore(source, shared)
  await assert.rejects(copyStore(source, shared), {
    code: 'store-not-empty',
    message:
      'the schema of the target database has rows in its table kv already, so nothing was copied: give another -storeSchema',
  })
})

test('a store in use is not copied', async () => {
  const source = newFile()
  const store = await filled(source)
  await assert.rejects(copyStore(source, newFile()), { code: 'store-in-use' })
  await store.close()
})

test('a cluster of which nodes run is not copied, neither from nor to', async () => {
  const source = newFile()
  await (await filled(source)).close()
  const shared: Location = { location: await postgres.newDatabase(), schema: 'east' }
  const store = new Store(shared)
  await store.open()
  await new MemberRows(store).renew(MEMBER, { ms: 60_000, takesOver: false })
  await store.close()
  const refused = {
    code: 'store-in-use',
    message: 'the schema east is in use by 1 node (10.0.0.7:8935), so nothing was copied: stop them first',
  }
  await assert.rejects(copyStore(source, shared), refused)
  await assert.rejects(copyStore(shared, newFile()), refused)
})

test('a row that the target changes is found, and nothing is copied', async () => {
  const source = newFile()
  await (await filled(source)).close()
  const location = await postgres.newDatabase()
  const empty = new Store({ location })
  await empty.open()
  await empty.close()
  await postgres.runIn(
    location,
    `create function livepeer.spoil() returns trigger language plpgsql as $$
     begin if new.sender_nonce = 1100 then new.sig := 'x'; end if; return new; end $$`,
    'create trigger spoil before insert on livepeer.tickets for each row execute function livepeer.spoil()',
  )
  await assert.rejects(copyStore(source, { location }), (error: Error & { code: string }) => {
    assert.equal(error.code, 'store-copy-differs')
    assert.match(
      error.message,
      /^the copy of the table tickets differs from it, so nothing was copied: the row \{"hash":"0x[0-9a-f]{64}"\} is not the same$/,
    )
    return true
  })
  assert.deepEqual(await postgres.runIn(location, 'select * from livepeer.secrets'), [])
})
