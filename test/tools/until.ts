import { setTimeout as sleep } from 'node:timers/promises'

/** Polls until there is an answer; fails with `what` if there is none in time. */
export async function until<Answer>(
  ask: () => Promise<Answer | null>,
  what = 'it',
  timeoutMs = 60_000,
): Promise<Answer> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`)
    await sleep(250)
  }
}

/** Polls often until the condition holds; fails with `what` if it does not in time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen in time: ${what}`)
    await sleep(25)
  }
}
