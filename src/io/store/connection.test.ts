import assert from 'node:assert/strict'
import { chownSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Postgres } from '../../../devnet/postgres.ts'
import { paymentRecord } from '../../../test/suites/store.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemDice } from '../../lib/dice.ts'
import { makeOwnCerts } from '../rpc/own-certs.ts'
import { Store } from './store.ts'

const NOBODY = 65_534
const folder = mkdtempSync(join(tmpdir(), 'livepeer-postgres-tls-'))
const authority = join(folder, 'ca', 'db', 'ca.pem')
let postgres: Postgres

before(async () => {
  const needs = { clock: systemClock, dice: systemDice }
  makeOwnCerts(join(folder, 'ca'), [{ name: 'db', hosts: ['localhost'] }], needs)
  makeOwnCerts(join(folder, 'other'), [{ name: 'db', hosts: ['localhost'] }], needs)
  // The server reads them as a user of its own.
  const served = mkdtempSync(join(tmpdir(), 'livepeer-postgres-key-'))
  after(() => rmSync(served, { recursive: true, force: true }))
  for (const name of ['cert.pem', 'key.pem']) copyFileSync(join(folder, 'ca', 'db', name), join(served, name))
  if (process.getuid?.() === 0) {
    for (const path of [served, join(served, 'cert.pem'), join(served, 'key.pem')])
      chownSync(path, NOBODY, NOBODY)
  }
  postgres = await Postgres.start({
    within: memoryFolder(),
    settings: {
      ...{ ssl: 'on', ssl_cert_file: join(served, 'cert.pem'), ssl_key_file: join(served, 'key.pem') },
      fsync: 'off',
    },
  })
})
after(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A new database at this host with these options of the URL. */
async function locationAt(host: string, options: Record<string, string>): Promise<string> {
  const url = new URL(await postgres.newDatabase())
  url.hostname = host
  for (const [name, value] of Object.entries(options)) url.searchParams.set(name, value)
  return url.href
}

test('sslmode=verify-full uses TLS and checks the server by the authority and the name', async () => {
  const full = { sslmode: 'verify-full', sslrootcert: authority }
  const store = new Store({ location: await locationAt('localhost', full) })
  await store.open()
  await store.recordPayment(paymentRecord({ nonces: [1] }))
  const rows = await postgres.run(
    `select bool_and(s.ssl) as ssl, count(*) > 0 as some from pg_stat_ssl s join pg_stat_activity a using (pid)
     where a.datname like 'livepeer_%'`,
  )
  assert.deepEqual(rows, [{ ssl: true, some: true }], 'nothing is sent in the clear')
  await store.close()
  const refuses = async (host: string, options: Record<string, string>, says: RegExp) =>
    assert.rejects(new Store({ location: await locationAt(host, options) }).open(), {
      code: 'store-unavailable',
      message: says,
    })
  await refuses('127.0.0.1', full, /cannot be used: .*IP: 127\.0\.0\.1/)
  const stranger = join(folder, 'other', 'db', 'ca.pem')
  await refuses(
    'localhost',
    { ...full, sslrootcert: stranger },
    /cannot be used: .*(signature|verify|certificate)/,
  )
  await refuses('localhost', { sslmode: 'verify-full' }, /cannot be used: .*certificate/)
})

test('connections carry no state: a pooler may give every transaction another one', async () => {
  const location = await postgres.newDatabase()
  const store = new Store({ location })
  await store.open()
  await store.recordPayment(paymentRecord({ nonces: [1] }))
  await store.records.saveCursor('{}')
  await store.secrets('ticket')
  const { database } = store
  const { sql } = await import('kysely')
  const held = await Promise.all([
    sql<{ n: string }>`select count(*) as n from pg_prepared_statements`
      .execute(database.db)
      .then(({ rows }) => rows),
    database.call!('select count(*) as n from pg_prepared_statements', [], 5_000),
    database.call!(
      `select count(*) as n from pg_settings where source = 'session' and name in ('search_path', 'lock_timeout', 'statement_timeout')`,
      [],
      5_000,
    ),
  ])
  assert.deepEqual(
    held.map(([row]) => Number(row?.n)),
    [0, 0, 0],
  )
  await store.close()
})
