/**
 * Loaded before each test file. The runner's own time limit is for tests: a file whose tests are over while something
 * keeps it alive would hold up the whole run without a word.
 */
const LIMIT_MS = 10 * 60_000

if (process.argv[1]?.endsWith('.test.ts'))
  setTimeout(() => {
    const alive = [...new Set(process.getActiveResourcesInfo())].join(', ')
    process.stderr.write(`${process.argv[1]} has not ended after ${LIMIT_MS / 60_000} min; alive: ${alive}\n`)
    process.exit(1)
  }, LIMIT_MS).unref()
