import { setTimeout as sleep } from 'node:timers/promises'
import { type Dice, systemDice } from '../src/lib/dice.ts'
import type { Network, NetworkNode } from './network.ts'
import type { NodeKind } from './setups.ts'

/** A node is killed this often, and started again so much later. */
const EVERY_MS = 20_000
const AWAY_MS = 6_000
/** What a cluster has several of. */
const KINDS: readonly NodeKind[] = ['orchestrator', 'redeemer', 'reward']

/** What happens to the nodes, for people. */
export interface UnrestTold {
  killed(node: NetworkNode): void
  back(node: NetworkNode): void
}

/**
 * Kills a node of a cluster every 20 seconds, by chance one of those of which there are several, and starts it again a few
 * seconds later; never two at once. Resolves when the signal is aborted, with every node started again.
 */
export async function unrest(
  network: Network,
  told: UnrestTold,
  signal: AbortSignal,
  dice: Dice = systemDice,
): Promise<void> {
  const nodes = KINDS.map((kind) => network.of(kind))
    .filter((some) => some.length > 1)
    .flat()
  while (nodes.length > 0 && !signal.aborted) {
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    const node = nodes[Math.floor(dice.fraction() * nodes.length)]!
    await node.process.kill()
    told.killed(node)
    await sleep(AWAY_MS, undefined, { signal }).catch(() => {})
    await node.process.start()
    told.back(node)
  }
}
