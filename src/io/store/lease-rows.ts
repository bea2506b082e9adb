import { type Kysely, sql } from 'kysely'
import { z } from 'zod'
import type { Fence, LeaseHolder, LeaseWish } from '../../domain/lease.ts'
import type { LeaseRecords } from '../../services/cluster/leadership.ts'
import { type Database, StoreError } from './database.ts'
import type { Tables } from './tables.ts'

/** The class of the advisory locks by which the end of a process is seen; their number is a hash of its instance. */
export const SESSION_LOCK = 7_239_115

/**
 * A leader that is paused in the middle of a transaction keeps the rows locked that it has read or written. The server ends
 * such a transaction after this time, before the leader's lease has run out.
 */
const IDLE_IN_TRANSACTION_MS = 4_000

/** The database's clock in ms since the epoch. The transaction's time would be that of its beginning. */
const NOW = sql<string>`(extract(epoch from clock_timestamp()) * 1000)::bigint`

const holder = z.object({
  instance: z.string().max(100),
  node: z.string().max(100),
  rank: z.coerce.number().int(),
  epoch: z.coerce.bigint(),
})

/** The leases of a cluster in a PostgreSQL store. They go by the database's clock. */
export class LeaseRows implements LeaseRecords {
  readonly #store: { readonly database: Database }

  constructor(store: { readonly database: Database }) {
    this.#store = store
  }

  async take({ lease, isWatched, ...wish }: LeaseWish, ms: number): Promise<LeaseHolder | null> {
    const values = {
      ...{ ...wish, name: lease, watched: isWatched ? 1 : 0 },
      lease_end: sql<string>`${NOW} + ${ms}`,
    }
    // A holder that renews keeps its epoch.
    const epoch = sql<string>`leases.epoch + (leases.instance <> ${wish.instance})::int`
    return this.#ask(async (db) => {
      const taken = await db
        .insertInto('leases')
        .values({ ...values, epoch: 1 })
        .onConflict((c) =>
          c
            .column('name')
            .doUpdateSet({ ...values, epoch })
            .where((e) =>
              e.or([
                e('leases.instance', '=', wish.instance),
                e('leases.lease_end', '<=', NOW),
                e('leases.rank', '<', wish.rank),
                e.and([e('leases.watched', '=', 1), e.not(isThere(sql`leases.instance`))]),
              ]),
            ),
        )
        .returning(['instance', 'node', 'rank', 'epoch'])
        .executeTakeFirst()
      const row =
        taken ??
        (await db
          .selectFrom('leases')
          .select(['instance', 'node', 'rank', 'epoch'])
          .where('name', '=', lease)
          .executeTakeFirst())
      return holder.safeParse(row).data ?? null
    })
  }

  async release(lease: string, instance: string): Promise<void> {
    await this.#ask((db) =>
      db
        .updateTable('leases')
        .set({ lease_end: 0 })
        .where('name', '=', lease)
        .where('instance', '=', instance)
        .execute(),
    )
  }

  async #ask<T>(ask: (db: Database['leases']) => Promise<T>): Promise<T> {
    const { database } = this.#store
    try {
      return await ask(database.leases)
    } catch (error) {
      throw database.explain(error)
    }
  }
}

/** Whether the session of a process is there: whether its lock is held. */
export function isThere(instance: ReturnType<typeof sql>) {
  // A lock's number is shown without its sign.
  return sql<boolean>`exists (
    select 1 from pg_catalog.pg_locks held
    where held.locktype = 'advisory' and held.granted and held.objsubid = 2
      and held.database = (select oid from pg_catalog.pg_database where datname = current_database())
      and held.classid::bigint = ${SESSION_LOCK} and held.objid::bigint = (hashtext(${instance})::bigint & 4294967295))`
}

/**
 * Checks within a transaction that a leader still leads; nobody else can take the lease until the transaction ends. Throws
 * StoreError `lease-lost`.
 */
export async function checkFence(tx: Kysely<Tables>, { epoch, instance, lease }: Fence): Promise<void> {
  const row = await tx
    .selectFrom('leases')
    .select(['epoch', 'instance'])
    .select(
      sql`set_config('idle_in_transaction_session_timeout', ${String(IDLE_IN_TRANSACTION_MS)}, true)`.as(
        'set',
      ),
    )
    .where('name', '=', lease)
    .forShare()
    .executeTakeFirst()
  if (row && BigInt(row.epoch) === epoch && row.instance === instance) return
  throw new StoreError(
    'lease-lost',
    `another node leads ${lease} now (epoch ${row?.epoch ?? 'unknown'}, this node's was ${epoch}): nothing was written`,
  )
}
