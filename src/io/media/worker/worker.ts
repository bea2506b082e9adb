/** The worker process in which segments of strangers are decoded and encoded. Started by `MediaEngine`. */
import { messageOf } from '../../../lib/errors.ts'
import type { Answer } from '../engine/worker-answers.ts'
import type { WorkerSetUp } from '../engine/worker-process.ts'
import { CudaDevice, cpu } from './device.ts'
import { countPixels, probe } from './probe.ts'
import { serveRequests } from './serve-requests.ts'
import { type TranscodeRequest, transcode } from './transcode.ts'
import { warmUp } from './try-out.ts'

const gpu = JSON.parse(process.argv[2] ?? 'null') as WorkerSetUp['gpu']
let device: CudaDevice | null = null
try {
  if (gpu) device = new CudaDevice(gpu)
  await warmUp(device ?? cpu)
} catch {
  // What fails here fails with the first segment too, and is told then.
}

await serveRequests({
  transcode: async (request: TranscodeRequest, signal): Promise<Answer<'transcode'>> => {
    if (!gpu) return { output: await transcode(request, signal), deviceFault: null }
    try {
      device ??= new CudaDevice(gpu)
      return { output: await transcode(request, signal, device), deviceFault: null }
    } catch (error) {
      if (signal.aborted) throw error
      // What the cores cannot do either is the segment's fault, and told in their words.
      return { output: await transcode(request, signal), deviceFault: messageOf(error) }
    }
  },
  probe: (bytes: Uint8Array) => probe(bytes),
  'count pixels': (bytes: Uint8Array, signal) => countPixels(bytes, signal),
})
