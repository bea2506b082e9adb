/**
 * Stands in for a media worker on a GPU: no GPU is touched. What a job's `provider` says comes to pass, and a rendition
 * holds the name of the device that would have done it.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveRequests } from '../src/io/media/serve-requests.ts'
import type { TranscodeRequest } from '../src/io/media/transcode.ts'
import type { WorkerOutput } from '../src/io/media/worker.ts'
import type { WorkerSetUp } from '../src/io/media/worker-process.ts'

const gpu = JSON.parse(process.argv[2]!) as WorkerSetUp['gpu']
const held: Buffer[] = []

serveRequests({
  transcode: async ({ provider, source }: TranscodeRequest): Promise<WorkerOutput> => {
    if (provider === 'die') process.kill(process.pid, 'SIGKILL')
    if (provider === 'leave a file and hang') {
      writeFileSync(join(mkdtempSync(join(tmpdir(), 'left-')), 'file'), source)
      await new Promise(() => {})
    }
    if (provider === 'grow') {
      for (;;) {
        held.push(Buffer.alloc(16 << 20, 1))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    const device = gpu?.device ?? 'cores'
    const isFault = gpu !== null && provider === `GPU ${device} fails`
    const bytes = new TextEncoder().encode(isFault ? `cores for GPU ${device}` : device)
    const output = { decodedPixels: 1n, renditions: [{ bytes, pixels: 1n, perceptualHash: null }] }
    return { output, deviceFault: isFault ? 'Unknown error occurred' : null }
  },
})
