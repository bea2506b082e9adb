/** The files of `src` that run as processes: the node itself, and what it starts. */
export const BUNDLED_PROGRAMS = [
  'main.ts',
  'io/media/sandbox/confine.ts',
  'io/media/sandbox/confine-report.ts',
  'io/media/worker/pattern-worker.ts',
  'io/media/worker/try-out-worker.ts',
  'io/media/worker/worker.ts',
]
