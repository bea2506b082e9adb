import type { Causes } from '../../domain/causes.ts'
import type { GraceLimits } from '../../domain/grace.ts'
import type { Log } from '../../lib/log.ts'
import { Journal } from './journal.ts'
import type { GraceSetup } from './shared-accounts.ts'

/** What a node may do while the database is away, and where it writes it down. */
export interface JournaledGrace extends GraceLimits {
  /** File of the journal. */
  readonly path: string
}

/** What opening needs. */
export interface OpenGraceNeeds {
  /** Stores a value of the cluster unless it has one; gives the one that it has. */
  firstValue(key: string, value: string): Promise<string>
  /** A random id. */
  newId(): string
  readonly causes: Causes
  readonly log: Log
  readonly monotonic: () => number
}

/**
 * Opens the journal of what a node takes while the database is away; `records` is what an earlier process left there. Nothing
 * without limits. Throws StoreError.
 */
export async function openGrace(
  limits: JournaledGrace | null,
  { causes, firstValue, log, monotonic, newId }: OpenGraceNeeds,
): Promise<{ grace: GraceSetup | null; records: readonly string[] }> {
  if (!limits) return { grace: null, records: [] }
  const { graceMs, path } = limits
  // Names the store wherever its server is: a journal is for the store that it was begun with.
  const cluster = await firstValue('cluster-id', newId())
  const { content, journal } = await Journal.open(path)
  if (content.damaged > 0) {
    log.error('journal damaged', { path: `${path}.damaged`, lines: content.damaged })
  }
  const grace: GraceSetup = {
    ...{ cluster, limits, journal, log, monotonic },
    onAway: (why) => {
      if (why === null) causes.over('store-away')
      else causes.met({ code: 'store-away', facts: { why, graceMs } })
    },
    onRefused: async (text, error) => {
      log.error('journaled batch refused by the store', { path: `${path}.refused`, error })
      const kept = await Journal.open(`${path}.refused`)
      await kept.journal.append(text)
      await kept.journal.close()
    },
    onShownTwice: (sender, tickets, worth) =>
      causes.met({ code: 'tickets-shown-twice', facts: { sender, tickets, worth } }, sender),
  }
  return { grace, records: content.records }
}
