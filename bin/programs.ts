/** The files of `src` that run as processes: the package's programs, and what the node starts. */
export const BUNDLED_PROGRAMS = [
  'main.ts',
  'commands/bench/main.ts',
  'commands/wizard/main.ts',
  'io/media/sandbox/confine.ts',
  'io/media/sandbox/confine-report.ts',
  'io/media/worker/pattern-worker.ts',
  'io/media/worker/try-out-worker.ts',
  'io/media/worker/worker.ts',
]
