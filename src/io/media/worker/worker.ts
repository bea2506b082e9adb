/** The worker process that decodes and encodes untrusted segments. Started by `MediaEngine`. */
import { messageOf } from '../../../lib/errors.ts'
import type { Answer } from '../engine/worker-answers.ts'
import type { WorkerSetUp } from '../engine/worker-process.ts'
import { CudaDevice, cpu } from './device.ts'
import { fingerprint } from './fingerprint.ts'
import { countPixels, inspect, probe } from './probe.ts'
import { serveRequests } from './serve-requests.ts'
import { type TranscodeRequest, transcode } from './transcode.ts'
import { warmUp } from './try-out.ts'

const gpu = JSON.parse(process.argv[2] ?? 'null') as WorkerSetUp['gpu']
let device: CudaDevice | null = null
try {
  if (gpu) device = new CudaDevice(gpu)
  await warmUp(device ?? cpu)
} catch {
  // An error here also occurs in the first segment and is reported then.
}

await serveRequests({
  transcode: async (request: TranscodeRequest, signal): Promise<Answer<'transcode'>> => {
    if (!gpu) return { output: await transcode(request, signal), deviceFault: null }
    try {
      device ??= new CudaDevice(gpu)
      return { output: await transcode(request, signal, device), deviceFault: null }
    } catch (error) {
      if (signal.aborted) throw error
      // If the CPU fails too, the segment is at fault, and the CPU's error is reported.
      return { output: await transcode(request, signal), deviceFault: messageOf(error) }
    }
  },
  probe: (bytes: Uint8Array) => probe(bytes),
  'count pixels': (bytes: Uint8Array, signal) => countPixels(bytes, signal),
  inspect: (bytes: Uint8Array, signal) => inspect(bytes, signal),
  fingerprint: (bytes: Uint8Array, signal) => fingerprint(bytes, signal),
})
