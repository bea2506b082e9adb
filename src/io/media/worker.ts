/** The worker process in which segments of strangers are decoded and encoded. Started by `MediaEngine`. */
import { countPixels, probe } from './probe.ts'
import { serveRequests } from './serve-requests.ts'
import { type TranscodeRequest, transcode } from './transcode.ts'

serveRequests({
  transcode: (request: TranscodeRequest, signal) => transcode(request, signal),
  probe: (bytes: Uint8Array) => probe(bytes),
  'count pixels': (bytes: Uint8Array, signal) => countPixels(bytes, signal),
})
