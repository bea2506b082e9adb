import type { Clock } from '../../lib/clock.ts'

/** How often a transcoder is asked for a sign of life. */
const PULSE_MS = 1_000
/** Without an answer for so long it is silent: early enough for another to do its segment within any deadline. */
const SILENT_MS = 2_000
/** Without an answer for so long it is lost. */
const LOST_MS = 15_000

/** How a transcoder's signs of life change. */
export type Pulse = 'silent' | 'back' | 'lost'

/** Asks for signs of life, one after the other, and tells of changes; the last is `lost`. Rejects when called off. */
export async function* pulseOf(
  ping: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Pulse, void> {
  for (;;) {
    await clock.sleep(PULSE_MS, signal)
    // Where the connection is closing there is nothing to ask: the stream is about to end.
    const answer = ping().catch(() => {})
    if (await within(clock, SILENT_MS, answer, signal)) continue
    yield 'silent'
    if (!(await within(clock, LOST_MS, answer, signal))) {
      yield 'lost'
      return
    }
    yield 'back'
  }
}

/** Whether something happens within a time. */
async function within(
  clock: Clock,
  ms: number,
  something: Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const enough = new AbortController()
  const limit = clock.sleep(ms, AbortSignal.any([signal, enough.signal]))
  try {
    return await Promise.race([something.then(() => true), limit.then(() => false)])
  } finally {
    enough.abort()
  }
}
