/**
 * Runs work and tells the most CPU time, in ms, that one turn of the event loop took meanwhile. CPU time of this thread,
 * so that other processes on the machine do not count.
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
