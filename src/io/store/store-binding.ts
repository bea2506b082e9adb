import type { Kysely } from 'kysely'
import { maskUrl } from '../../lib/mask-url.ts'
import { StoreError } from './database.ts'
import { storeFirstValue } from './kv-rows.ts'
import { DEFAULT_SCHEMA, isPostgresUrl, type Location } from './open.ts'
import type { Tables } from './tables.ts'

/** What all nodes of a cluster have in common; a word of its own where the node is offchain. */
export interface ClusterIdentity {
  /** Address of the Controller contract. */
  readonly controller: string
  /** Address that tickets pay: the orchestrator on chain. */
  readonly recipient: string
}

const CLUSTER_FLAGS = { controller: '-ethController', orchestrator: '-ethOrchAddr' } as const

/** Binds a database to one chain, 0 meaning none. Throws StoreError `wrong-chain` if it is bound to another. */
export async function bindToChain(tx: Kysely<Tables>, place: Location, chainId: bigint): Promise<void> {
  const bound = await storeFirstValue(tx, 'chain-id', chainId.toString())
  if (bound === chainId.toString()) return
  const { change, where } = wordsOf(place)
  throw new StoreError(
    'wrong-chain',
    `expecting chainID of ${bound}, but got ${chainId}: the data in ${where} belongs to another chain: ${change}`,
  )
}

/**
 * Binds a shared database to the cluster that uses it: the contracts and the orchestrator that its nodes work for. Throws
 * StoreError `wrong-cluster` if it is bound to others.
 */
export async function bindToCluster(
  tx: Kysely<Tables>,
  place: Location,
  { controller, recipient }: ClusterIdentity,
): Promise<void> {
  const own = { controller, orchestrator: recipient }
  for (const [name, value] of Object.entries(own)) {
    const bound = await storeFirstValue(tx, name, value)
    if (bound === value) continue
    const { change, where } = wordsOf(place)
    throw new StoreError(
      'wrong-cluster',
      `${where} belongs to a cluster with the ${name} ${bound}, and this node's is ${value}: ${change}, or correct ${CLUSTER_FLAGS[name as keyof typeof own]}`,
    )
  }
}

/** A database in words, without the password that a URL may contain, and how a node gets another. */
export function wordsOf({ location, schema = DEFAULT_SCHEMA }: Location): {
  readonly where: string
  readonly change: string
} {
  if (!isPostgresUrl(location)) return { where: location, change: 'give this node its own -dataDir' }
  return {
    where: `the schema ${schema} of the database at ${maskUrl(location)}`,
    change: 'give this node another -storeSchema',
  }
}
