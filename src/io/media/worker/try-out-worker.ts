/** The worker process that tests a GPU or the CPU. Started by `tryOutInProcess`. */

import type { WorkerSetUp } from '../engine/worker-process.ts'
import { serveRequests } from './serve-requests.ts'
import { tryOut } from './try-out.ts'

const gpu = JSON.parse(process.argv[2] ?? 'null') as WorkerSetUp['gpu']

await serveRequests({ 'try out': () => tryOut(gpu?.device ?? null) })
