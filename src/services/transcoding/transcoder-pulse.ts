import type { Clock } from '../../lib/clock.ts'

/** How often a transcoder is pinged. */
const PULSE_MS = 1_000
/** A transcoder is silent after this time without an answer: early enough for another to do its segment in time. */
const SILENT_MS = 2_000
/** A transcoder is lost after this further time without an answer. */
const LOST_MS = 15_000

/** A change in a transcoder's answers to pings. */
export type Pulse = 'silent' | 'back' | 'lost'

/** Pings a transcoder again and again and yields changes; the last is `lost`. Rejects when the signal is aborted. */
export async function* pulseOf(
  ping: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Pulse, void> {
  for (;;) {
    await clock.sleep(PULSE_MS, signal)
    // On a closing connection the ping fails: the stream is about to end anyway.
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
