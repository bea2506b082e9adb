import { sql } from 'kysely'
import { z } from 'zod'
import type { Member, SeenMember } from '../../domain/member.ts'
import { parsedJson } from '../../lib/parsed-json.ts'
import type { MemberRecords } from '../../services/cluster/members.ts'
import type { Database } from './database.ts'
import type { MemberRow } from './tables.ts'

/** Members that are read; a cluster has some dozens. */
const MAX_MEMBERS = 1_000
/** A member that never came back is shown for this long. */
const KEPT_MS = 24 * 3600_000
/** Duties that one member leads. */
const MAX_LEADS = 20
/** Capabilities that one member has, and the largest number of one. */
const MAX_CAPABILITIES = 200
const MAX_CAPABILITY = 10_000

/** The database's clock in ms since the epoch. The transaction's time would be that of its beginning. */
const NOW = sql<string>`(extract(epoch from clock_timestamp()) * 1000)::bigint`

const id = z.string().regex(/^[0-9a-f]{16}$/)
const short = z.string().max(100)
const count = z.number().int().min(0).max(1_000_000_000)

/** Newer versions may say this in another way. */
const can = z.array(z.number().int().min(0).max(MAX_CAPABILITY)).max(MAX_CAPABILITIES)
/** Newer versions may tell more. */
const work = z
  .object({
    ...{ takesSegments: z.boolean(), maxSessions: count, sessions: count, segments: count },
    can: z.unknown().optional(),
  })
  .transform(({ can: told, ...rest }) => {
    const known = can.safeParse(told).data
    return { ...rest, ...(known && { can: known }) }
  })

/** In the same column; absent where a member leads nothing. Duties that are not known are left out. */
const led = z.object({
  duty: z.enum(['redeem', 'redeem late', 'reward', 'initialize rounds']),
  forMs: z.number().int().min(0),
})
const leads = z
  .object({ leads: z.array(z.unknown()).max(MAX_LEADS).optional() })
  .transform((told) => (told.leads ?? []).flatMap((one) => led.safeParse(one).data ?? []))

/** What siblings of other versions, or another hand, wrote there. */
const row = z.object({
  node: id,
  instance: id,
  account: short,
  roles: short.transform((text) => text.split(',').filter((role) => role !== '')),
  version: short,
  address: z
    .string()
    .max(300)
    .regex(/^(\[[0-9a-f:.]+\]|[\w.-]+):\d{1,5}$/i),
  fingerprint: z.string().regex(/^(([0-9A-F]{2}:){31}[0-9A-F]{2})?$/),
  work: z.string().max(10_000).transform(parsedJson).pipe(work),
})

const time = z.coerce.number().int()

/** The members of a cluster in a PostgreSQL store. Its leases go by the database's clock. */
export class MemberRows implements MemberRecords {
  readonly #store: { readonly database: Database }

  constructor(store: { readonly database: Database }) {
    this.#store = store
  }

  async renew(member: Member, lease: { ms: number; takesOver: boolean }): Promise<number | null> {
    const { takesOver } = lease
    const values = { ...rowOf(member), lease_end: sql<string>`${NOW} + ${lease.ms}` }
    const renewed = await this.#ask((db) =>
      db
        .insertInto('members')
        .values(values)
        .onConflict((c) =>
          c
            .column('node')
            .doUpdateSet(values)
            .where((e) =>
              e.or([
                e('members.instance', '=', member.instance),
                ...(takesOver
                  ? [e('members.address', '=', member.address), e('members.lease_end', '<=', NOW)]
                  : []),
              ]),
            ),
        )
        .returning(sql<string>`lease_end - ${lease.ms}`.as('now'))
        .executeTakeFirst(),
    )
    return renewed ? time.parse(renewed.now) : null
  }

  async members(): Promise<readonly SeenMember[]> {
    const rows = await this.#ask((db) =>
      db
        .selectFrom('members')
        .selectAll()
        .select(sql<string>`lease_end - ${NOW}`.as('left'))
        .where(sql<boolean>`lease_end > ${NOW} - ${KEPT_MS}`)
        .orderBy('lease_end', 'desc')
        .orderBy('node')
        .limit(MAX_MEMBERS)
        .execute(),
    )
    return rows.flatMap((raw) => {
      const member = row.safeParse(raw)
      const leftMs = time.safeParse(raw.left)
      if (!member.success || !leftMs.success) return []
      const led = leads.safeParse(parsedJson(raw.work)).data ?? []
      return [{ ...member.data, ...(led.length > 0 && { leads: led }), leftMs: leftMs.data }]
    })
  }

  async leave({ instance, node }: Pick<Member, 'node' | 'instance'>): Promise<void> {
    await this.#ask((db) =>
      db.deleteFrom('members').where('node', '=', node).where('instance', '=', instance).execute(),
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

function rowOf({ leads, roles, work, ...facts }: Member): Omit<MemberRow, 'lease_end'> {
  return { ...facts, roles: roles.join(','), work: JSON.stringify({ ...work, ...(leads && { leads }) }) }
}
