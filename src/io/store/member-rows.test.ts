import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { Postgres } from '../../../devnet/postgres.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import type { Member } from '../../domain/member.ts'
import { MemberRows } from './member-rows.ts'
import { Store } from './store.ts'

const LEASE_MS = 6_000
const work = { takesSegments: true, maxSessions: 10, sessions: 3, segments: 1, can: [0, 1, 62] }

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
})
after(() => postgres.stop())

function memberOf(changes: Partial<Member> = {}): Member {
  return {
    ...{
      node: 'a'.repeat(16),
      instance: '1'.repeat(16),
      account: '0xA',
      roles: ['orchestrator', 'transcoder'],
    },
    ...{ version: '0.1.0', address: '10.0.0.5:8935', fingerprint: Array(32).fill('AB').join(':'), work },
    ...changes,
  }
}

async function open(t: { after(end: () => Promise<void>): void }) {
  const store = new Store({ location: await postgres.newDatabase(), schema: 'east' })
  await store.open()
  t.after(() => store.close())
  return { store, rows: new MemberRows(store) }
}

test('a member’s row is written, read by its siblings and deleted at its end', async (t) => {
  const { rows } = await open(t)
  const nowMs = await rows.renew(memberOf(), { ms: LEASE_MS, takesOver: true })
  assert.ok(nowMs !== null && Math.abs(nowMs - Date.now()) < 5_000, `${nowMs}`)
  const [seen, ...others] = await rows.members()
  assert.deepEqual(others, [])
  const { leftMs, ...member } = seen!
  assert.deepEqual(member, memberOf())
  assert.ok(leftMs > 0 && leftMs <= LEASE_MS, `${leftMs}`)
  const { can: _, ...silent } = work
  await rows.renew(memberOf({ work: silent }), { ms: LEASE_MS, takesOver: false })
  assert.deepEqual((await rows.members())[0]?.work, silent, 'one that does not say what it can do')
  const leads = [{ duty: 'redeem', forMs: 3_000 }] as const
  await rows.renew(memberOf({ leads }), { ms: LEASE_MS, takesOver: false })
  assert.deepEqual((await rows.members())[0]?.leads, leads)
  await rows.leave(memberOf({ instance: '2'.repeat(16) }))
  assert.equal((await rows.members()).length, 1, 'another process has no say in it')
  await rows.leave(memberOf())
  assert.deepEqual(await rows.members(), [])
})

test('only its own process renews a row while its lease lasts, unless the other has the same address', async (t) => {
  const { rows, store } = await open(t)
  const first = memberOf()
  const copy = memberOf({ instance: '2'.repeat(16), address: '10.0.0.6:8935' })
  const next = memberOf({ instance: '3'.repeat(16) })
  const renew = async (member: Member, takesOver: boolean) =>
    (await rows.renew(member, { ms: LEASE_MS, takesOver })) !== null
  assert.equal(await renew(first, true), true)
  assert.equal(await renew(first, false), true)
  assert.equal(await renew(copy, true), false)
  assert.equal(await renew(next, false), false)
  assert.equal((await rows.members())[0]?.instance, first.instance)
  assert.equal(await renew(next, true), true, 'the same address: the process before it is gone')
  assert.equal(await renew(first, false), false)
  await store.database.db.updateTable('members').set({ lease_end: 0 }).execute()
  assert.equal(await renew(copy, false), false)
  assert.equal(await renew(copy, true), true, 'its lease has run out')
  assert.equal((await rows.members())[0]?.address, copy.address)
})

test('a lease that has run out is read as such; a row that cannot be read, or is a day old, is left out', async (t) => {
  const { rows, store } = await open(t)
  const { db } = store.database
  const ids = [...'bcdef'].map((digit) => digit.repeat(16))
  for (const node of ids) await rows.renew(memberOf({ node }), { ms: LEASE_MS, takesOver: true })
  const set = (node: string, changes: Record<string, string | number>) =>
    db.updateTable('members').set(changes).where('node', '=', node).execute()
  await set(ids[0]!, { work: '{"takesSegments": "yes"}' })
  await set(ids[1]!, { address: 'http://elsewhere/' })
  await set(ids[2]!, { lease_end: Date.now() - 60_000 })
  await set(ids[3]!, { lease_end: Date.now() - 25 * 3600_000 })
  const strange = [{ duty: 'reign', forMs: 1 }, { duty: 'reward', forMs: -1 }, 'redeem', null]
  const { can, ...rest } = work
  await set(ids[4]!, { work: JSON.stringify({ ...rest, more: 1, can: { of: can }, leads: strange }) })
  const seen = await rows.members()
  assert.deepEqual(
    seen.map(({ leads }) => leads),
    [undefined, undefined],
  )
  assert.deepEqual(
    seen.map(({ leftMs, node, work: told }) => [node, leftMs > 0, told]),
    [
      [ids[4], true, rest],
      [ids[2], false, work],
    ],
  )
})

test('a database that is away is said so without what is secret in its URL', async (t) => {
  const { rows, store } = await open(t)
  await rows.renew(memberOf(), { ms: LEASE_MS, takesOver: true })
  await postgres.end('fast')
  try {
    await assert.rejects(rows.renew(memberOf(), { ms: LEASE_MS, takesOver: false }), (error: Error) => {
      assert.match(error.message, /^the database at postgres:\/\/127\.0\.0\.1:\d+ cannot be used: /)
      assert.doesNotMatch(error.message, /devnet/)
      return true
    })
  } finally {
    await postgres.startAgain()
  }
  assert.notEqual(await rows.renew(memberOf(), { ms: LEASE_MS, takesOver: false }), null)
  assert.equal(store.fault, null)
})

test('a lease is renewed while all other connections of the node wait', async (t) => {
  const { rows, store } = await open(t)
  const { db } = store.database
  const own = await sql<{ name: string }>`select current_database() as name`.execute(db)
  const holder = new pg.Client({ connectionString: postgres.url(own.rows[0]!.name) })
  await holder.connect()
  await holder.query('select pg_advisory_lock(77)')
  let waiting = 12
  const others = Array.from({ length: waiting }, () =>
    sql`select pg_advisory_lock_shared(77)`.execute(db).finally(() => waiting--),
  )
  assert.ok((await rows.renew(memberOf(), { ms: LEASE_MS, takesOver: true })) !== null)
  assert.equal((await rows.members()).length, 1)
  assert.equal(waiting, 12)
  await holder.end()
  await Promise.all(others)
})
