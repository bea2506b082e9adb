import { readdirSync, readFileSync } from 'node:fs'
import type { Postgres } from '../devnet/postgres.ts'

/** Settings with which the server counts each statement that reaches it; not those inside its own functions. */
export const COUNTING = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track': 'top' }

/** What a PostgreSQL server has done so far, by its own count. */
export interface PostgresUsage {
  /** All statements that clients sent, those that begin and end transactions too. */
  readonly statements: number
  /** Bytes of its write-ahead log, which is what it writes to disk and sends to replicas. */
  readonly logBytes: number
  /** Processor time of all its processes. */
  readonly cpuMs: number
}

/** Reads what the server of this database counts; it was started with `COUNTING`. */
export async function usageOf(postgres: Postgres, url: string): Promise<PostgresUsage> {
  const [row] = await postgres.runIn(
    url,
    'create extension if not exists pg_stat_statements',
    `select sum(s.calls)::float8 as statements, (pg_current_wal_lsn() - '0/0')::float8 as bytes
     from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database()`,
  )
  return {
    ...{ statements: Number(row?.statements), logBytes: Number(row?.bytes) },
    cpuMs: cpuMsWithChildren(postgres.pid),
  }
}

/** What the server did between two looks. */
export function usageBetween(before: PostgresUsage, after: PostgresUsage): PostgresUsage {
  return {
    // The two statements of the first look count from its own end on.
    statements: Math.max(0, after.statements - before.statements - 2),
    logBytes: after.logBytes - before.logBytes,
    cpuMs: after.cpuMs - before.cpuMs,
  }
}

/** Processor time of a process and its children, those that have ended too. */
export function cpuMsWithChildren(pid: number): number {
  let ticks = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const fields = statOf(name)
    // After the name in brackets: state, parent; utime, stime, cutime and cstime are the 12th to 15th.
    if (fields && (name === String(pid) || fields[1] === String(pid))) {
      const own = Number(fields[11]) + Number(fields[12])
      ticks += name === String(pid) ? own + Number(fields[13]) + Number(fields[14]) : own
    }
  }
  return ticks * MS_OF_A_TICK
}

const MS_OF_A_TICK = 10

function statOf(pid: string): string[] | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
  } catch {
    return null
  }
}
