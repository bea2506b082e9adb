import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

/** A change that an operator asked a node for, as it is kept: it is never altered and never deleted. */
export interface ControlChangeRecord {
  readonly atMs: number
  /** Where from: an IP address. */
  readonly from: string
  /** How it was allowed: by the token, or because none is asked for. */
  readonly by: string
  /** The path of the control API. */
  readonly path: string
  readonly params: Readonly<Record<string, string>>
  readonly status: number
  /** What was answered. */
  readonly result: string
}

/** The settings that an operator made to outlast a restart, by name. */
export async function controlSettings(db: Kysely<Tables>, node: string): Promise<Map<string, string>> {
  const rows = await db
    .selectFrom('control_settings')
    .select(['name', 'value'])
    .where('node', '=', node)
    .execute()
  return new Map(rows.map(({ name, value }) => [name, value]))
}

/** Keeps a setting, or forgets it where the value is null. */
export async function writeControlSetting(
  tx: Kysely<Tables>,
  node: string,
  { name, nowMs, value }: { readonly name: string; readonly value: string | null; readonly nowMs: number },
): Promise<void> {
  if (value === null) {
    await tx.deleteFrom('control_settings').where('node', '=', node).where('name', '=', name).execute()
    return
  }
  await tx
    .insertInto('control_settings')
    .values({ node, name, value, changed_at: nowMs })
    .onConflict((c) => c.columns(['node', 'name']).doUpdateSet({ value, changed_at: nowMs }))
    .execute()
}

/** Appends a change to a node's record of changes. */
export async function addControlChange(
  tx: Kysely<Tables>,
  node: string,
  change: ControlChangeRecord,
): Promise<void> {
  const { rows } = await newest(tx, node, 1)
  const { atMs, by, from, params, path, result, status } = change
  await tx
    .insertInto('control_changes')
    .values({
      ...{ node, seq: Number(rows[0]?.seq ?? 0) + 1, at: atMs, origin: from, allowed_by: by },
      ...{ path, params: JSON.stringify(params), status, result },
    })
    .execute()
}

/** The newest changes of a node, the newest first. */
export async function controlChanges(
  db: Kysely<Tables>,
  node: string,
  most: number,
): Promise<ControlChangeRecord[]> {
  const { rows } = await newest(db, node, most)
  return rows.map((row) => ({
    ...{ atMs: Number(row.at), from: row.origin, by: row.allowed_by, path: row.path },
    params: JSON.parse(row.params) as Record<string, string>,
    ...{ status: row.status, result: row.result },
  }))
}

async function newest(db: Kysely<Tables>, node: string, most: number) {
  const rows = await db
    .selectFrom('control_changes')
    .selectAll()
    .where('node', '=', node)
    .orderBy('seq', 'desc')
    .limit(most)
    .execute()
  return { rows }
}
