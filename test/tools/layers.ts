/**
 * The fast tests, by what they run on. Each share has a process of its own: starting one for each file would take longer than
 * its tests, and in a single one sockets and timers would wait for each other.
 */
export const FAST_SHARES = {
  rpc: ['src/io/rpc/**/*.test.ts'],
  io: ['src/io/{http,objects,rtmp,systemd}/**/*.test.ts'],
  rest: ['src/{commands,config,console,domain,lib,node,services}/**/*.test.ts', 'test/tree/**/*.test.ts'],
} as const

/**
 * The layers of the tests, by where their files lie: every file is in exactly one. `fast` starts no process and opens
 * nothing but loopback sockets and temporary files.
 */
export const LAYERS = {
  /** Whole nodes as processes. */
  e2e: ['test/e2e/**/*.test.ts'],
  /** Random and simulated histories. */
  fuzz: ['test/fuzz/**/*.test.ts', 'test/simulation/**/*.test.ts'],
  /** Single rooms on real parts: anvil, FFmpeg, databases on disk, hostile peers. */
  parts: [
    'src/io/{amqp,chain,kafka}/**/*.test.ts',
    'src/io/media/**/*.test.ts',
    'src/io/store/**/*.test.ts',
    'devnet/**/*.test.ts',
    'test/{chain,deploy}/**/*.test.ts',
    'test/hostile/**/*.test.ts',
    'test/load/**/*.test.ts',
    'test/media/**/*.test.ts',
    'test/objects/**/*.test.ts',
  ],
  fast: Object.values(FAST_SHARES).flat(),
} as const

export type Layer = keyof typeof LAYERS
