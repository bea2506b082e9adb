/**
 * Loaded before each test file, and before that of the fast ones. The runner limits tests only: a file whose tests
 * are over but that something keeps alive would block the whole run silently.
 */
const LIMIT_MS = 15 * 60_000

if (/\.test\.ts$|\/all-fast\/\w+\.ts$/.test(process.argv[1] ?? ''))
  setTimeout(() => {
    const alive = [...new Set(process.getActiveResourcesInfo())].join(', ')
    process.stderr.write(`${process.argv[1]} has not ended after ${LIMIT_MS / 60_000} min; alive: ${alive}\n`)
    process.exit(1)
  }, LIMIT_MS).unref()
