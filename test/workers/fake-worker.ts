/**
 * Replaces a media worker, on a GPU if configured, without touching one. A job's `provider` says what happens, and a
 * rendition contains the name of the device that would have made it.
 */
import { existsSync, mkdtempSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../../src/io/media/engine/worker-answers.ts'
import type { WorkerSetUp } from '../../src/io/media/engine/worker-process.ts'
import { WORKER_PIPE } from '../../src/io/media/engine/worker-protocol.ts'
import { serveRequests } from '../../src/io/media/worker/serve-requests.ts'
import type { TranscodeRequest } from '../../src/io/media/worker/transcode.ts'
import { framed } from './framed.ts'

const gpu = JSON.parse(process.argv[2]!) as WorkerSetUp['gpu']
const held: Buffer[] = []

/** Compromised native code may write anything. */
function say(message: unknown): void {
  writeSync(WORKER_PIPE, framed(message))
}

/** The ids of all processes that it can see. */
function processes(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

const RENDITION = { bytes: new Uint8Array(1), pixels: 1n, frames: 1, perceptualHash: null }
const ANSWER = { output: { decodedPixels: 1n, renditions: [RENDITION] }, deviceFault: null }

function withRendition(fields: object) {
  return { ...ANSWER, output: { ...ANSWER.output, renditions: [{ ...RENDITION, ...fields }] } }
}

/** What happens to the worker, by the first word of a job's `provider`. */
const mishaps: Readonly<
  Record<string, (request: TranscodeRequest, words: readonly string[], signal: AbortSignal) => unknown>
> = {
  /** Fails with the words that follow. */
  fail: (_request, [, ...reason]) => Promise.reject(new Error(reason.join(' '))),
  /** Is worked on until a file exists. */
  wait: async (_request, [, path], signal) => {
    while (!existsSync(path!)) await sleep(5, undefined, { signal })
  },
  die: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => new Promise(() => {}),
  /** Like native code that hangs. */
  loop: () => {
    for (;;);
  },
  leave: ({ source }) => {
    writeFileSync(join(mkdtempSync(join(tmpdir(), 'left-')), 'file'), source)
    return new Promise(() => {})
  },
  grow: async () => {
    for (;;) {
      held.push(Buffer.alloc(16 << 20, 1))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  },
  leak: (_request, [, megabytes]) => void held.push(Buffer.alloc(Number(megabytes) << 20, 1)),
  nothing: () => say(null),
  nonsense: () => void writeSync(WORKER_PIPE, Buffer.alloc(1 << 16, 'nonsense')),
  huge: () => void writeSync(WORKER_PIPE, Buffer.alloc(4, 0xff)),
  /** The answer to a job that it was not given. */
  unasked: () => say({ kind: 'done', id: 999, value: ANSWER }),
  twice: () => say({ kind: 'begun', id: 1 }),
  negative: () =>
    say({ kind: 'done', id: 1, value: { ...ANSWER, output: { ...ANSWER.output, decodedPixels: -1n } } }),
  'negative-rendition': () => say({ kind: 'done', id: 1, value: withRendition({ pixels: -1n }) }),
  'countless-pixels': () => say({ kind: 'done', id: 1, value: withRendition({ pixels: 2n ** 200n }) }),
  'endless-frames': () => say({ kind: 'done', id: 1, value: withRendition({ frames: 1e15 }) }),
  'more-renditions': () =>
    say({
      kind: 'done',
      id: 1,
      value: { ...ANSWER, output: { ...ANSWER.output, renditions: [RENDITION, RENDITION] } },
    }),
  'long-fault': () => say({ kind: 'done', id: 1, value: { ...ANSWER, deviceFault: 'x'.repeat(10_001) } }),
  misshapen: () => {
    for (let id = 0; id < 100; id++) say({ kind: 'done', id, value: { output: {}, deviceFault: 7 } })
  },
}

await serveRequests({
  transcode: async (request: TranscodeRequest, signal): Promise<Answer<'transcode'>> => {
    const words = request.provider.split(' ')
    await mishaps[words[0]!]?.(request, words, signal)
    const device = gpu?.device ?? 'cores'
    const isFault = gpu !== null && request.provider === `GPU ${device} fails`
    const done = isFault ? `cores for GPU ${device}` : device
    const bytes = new TextEncoder().encode(words[0] === 'processes' ? processes().join() : done)
    const output = { decodedPixels: 1n, renditions: [{ bytes, pixels: 1n, frames: 1, perceptualHash: null }] }
    return { output, deviceFault: isFault ? 'Unknown error occurred' : null }
  },
  probe: async () => process.kill(process.pid, 'SIGKILL') as never,
})
