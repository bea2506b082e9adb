import { setTimeout as sleep } from 'node:timers/promises'

/** Asks again and again until there is an answer; fails with `what` when there is none in time. */
export async function until<Answer>(
  ask: () => Promise<Answer | null>,
  what = 'it',
  timeoutMs = 60_000,
): Promise<Answer> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new Error(`${what} did not come true within ${timeoutMs / 1000} s`)
    await sleep(250)
  }
}

/** Waits until the condition holds, looking every few milliseconds; fails with `what` when it does not in time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen in time: ${what}`)
    await sleep(10)
  }
}
