import { Alarm } from '../../src/lib/alarm.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'

/** A sender's floats as they are reported, until the signal is aborted; a slow reader gets the last one. */
export async function* floatsOf(
  desk: { listen(sender: Address, tell: (value: bigint) => void): () => void },
  sender: Address,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): AsyncGenerator<bigint, void> {
  const alarm = new Alarm()
  let latest: bigint | null = null
  const leave = desk.listen(sender, (value) => {
    latest = value
    alarm.ring()
  })
  try {
    while (!signal.aborted) {
      const value: bigint | null = latest
      latest = null
      if (value !== null) yield value
      else await alarm.wait(clock, 1e9, signal).catch(() => {})
    }
  } finally {
    leave()
  }
}
