import asyncHooks from 'node:async_hooks'

/**
 * Loaded before each test file, before the runner is. The runner follows every promise to tell which test an error that
 * nobody caught belongs to, and so makes each cost twice as much. Here such an error fails its file instead, and is printed.
 */
const { createHook } = asyncHooks
Object.assign(asyncHooks, {
  createHook: (callbacks: asyncHooks.HookCallbacks) => createHook({ ...callbacks, trackPromises: false }),
})

const print = (error: unknown) =>
  void process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
process.on('uncaughtExceptionMonitor', print)
process.on('unhandledRejection', (reason) => {
  // Without the runner's own listener it ends the process, as it does by default.
  if (process.listenerCount('unhandledRejection') === 1) throw reason
  print(reason)
})
