import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Network } from '../devnet/network.ts'

const ETHER = 10n ** 18n
/**
 * A ticket per segment as at the devnet's prices, but worth a hundredth, so that one in several hundred wins and
 * redemptions do not load the chain.
 */
export const RARE_WINS = ['-ticketEV', '100000000000000', '-pricePerUnit', '5000000', '-maxFaceValue', '0']

/** How an orchestrator of a bench differs. */
export interface NullEngineOptions {
  readonly maxSessions: number
  /** The URL of its store on PostgreSQL; null for SQLite. */
  readonly store: string | null
  /** Seconds between blocks; 1 unless given. */
  readonly blockTimeS?: number
}

/** A running gateway and an orchestrator with an engine that takes no time, on a chain of their own. */
export async function nullEngineNetwork(options: NullEngineOptions): Promise<Network> {
  const { maxSessions, store } = options
  const entry = { module: new URL('null-engine-node.ts', import.meta.url).pathname }
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-bench-'))
  const file = join(folder, 'store.txt')
  if (store !== null) await writeFile(file, store, { mode: 0o600 })
  const most = ['-maxSessions', `${maxSessions}`]
  const network = await Network.prepare({
    ...{ orchestratorEntry: entry, gatewayEntry: entry, gatewayFunds: 100_000n * ETHER, roundLength: 1_000n },
    ...(options.blockTimeS !== undefined && { blockTimeS: options.blockTimeS }),
    orchestratorFlags: [...most, ...RARE_WINS, ...(store === null ? [] : ['-store', file])],
    gatewayFlags: most,
  })
  try {
    await network.orchestrator.start()
    await network.gateway.start()
    return network
  } catch (error) {
    await network.stop()
    throw error
  } finally {
    // The nodes have read it.
    await rm(folder, { recursive: true, force: true })
  }
}
