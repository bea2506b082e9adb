/**
 * Runs work and returns the most CPU time, in ms, of one turn of the event loop. Uses this thread's CPU time, so that
 * other processes do not count.
 */
export async function longestTurn(work: () => Promise<void>): Promise<number> {
  let longestMs = 0
  let last = cpuMs()
  let isDone = false
  const look = () => {
    const now = cpuMs()
    longestMs = Math.max(longestMs, now - last)
    last = now
    if (!isDone) setImmediate(look)
  }
  setImmediate(look)
  try {
    await work()
  } finally {
    isDone = true
  }
  look()
  return longestMs
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
