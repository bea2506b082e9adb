import type { Clock } from '../../lib/clock.ts'
import { isDoneWithin } from '../../lib/patience.ts'

/** A stream waits this long for a new list of orchestrators if there is an old one. */
const PATIENCE_MS = 1_000

/** Waits for work that goes on by itself, but for a second at most. Rejects if the work does by then. */
export async function waitAWhile(clock: Clock, work: Promise<void>): Promise<void> {
  await isDoneWithin(clock, PATIENCE_MS, work)
}
