/** The worker process in which a GPU, or the cores, are tried out. Started by `tryOutInProcess`. */

import type { WorkerSetUp } from '../engine/worker-process.ts'
import { serveRequests } from './serve-requests.ts'
import { tryOut } from './try-out.ts'

const gpu = JSON.parse(process.argv[2] ?? 'null') as WorkerSetUp['gpu']

await serveRequests({ 'try out': () => tryOut(gpu?.device ?? null) })
