import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort } from '../../lib/errors.ts'
import { ChainError } from './chain-error.ts'
import type { Rpc } from './rpc.ts'

/** Refusals before a transaction is accepted: it is in no pool. */
const REJECTIONS = new Set(['insufficient-funds', 'fee-too-low', 'replacement-underpriced', 'reverted'])
/** How often a transaction is looked for: the next replica may know what the last one did not. */
const LOOKS = 5

/**
 * The fate of a transaction whose sending failed: it arrived all the same (`sent`), it was refused (`rejected`), another
 * one has its nonce (`taken`), or that is not known (`unknown`).
 */
export type Delivery = 'sent' | 'rejected' | 'taken' | 'unknown'

/**
 * Finds out what became of a transaction whose sending failed. The error alone does not tell: an answer may be lost after
 * the transaction was taken, and the next endpoint then calls its nonce used.
 */
export async function deliveryOf(
  stored: StoredTransaction,
  error: unknown,
  needs: { rpc: Rpc; clock: Clock; pollMs: number; used: (signal: AbortSignal) => Promise<number> },
  signal: AbortSignal,
): Promise<Delivery> {
  if (isAbort(error) || !(error instanceof ChainError)) return 'unknown'
  try {
    if (await isKnown(stored, needs.rpc, signal)) return 'sent'
    if (REJECTIONS.has(error.code)) return 'rejected'
    if (error.code !== 'nonce-too-low') return 'unknown'
    // Its own transaction may have used the nonce, which a lagging replica does not see yet.
    for (let look = 1; look < LOOKS; look++) {
      await needs.clock.sleep(needs.pollMs, signal)
      if (await isKnown(stored, needs.rpc, signal)) return 'sent'
    }
    return (await needs.used(signal)) > stored.nonce ? 'taken' : 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Whether the chain or a pool has any attempt at a transaction; two endpoints are asked where there are several. */
export async function isKnown(stored: StoredTransaction, rpc: Rpc, signal: AbortSignal): Promise<boolean> {
  for (const { hash } of stored.attempts.toReversed()) {
    const { answers } = await rpc.askTwo('eth_getTransactionByHash', [hash], signal)
    if (answers.some((answer) => answer !== null)) return true
  }
  return false
}
