import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { WorkDone } from '../../../domain/failed-work.ts'
import { isAbort, messageOf } from '../../../lib/errors.ts'
import { MediaError } from '../engine/media-error.ts'
import { MessagePipe } from '../engine/message-pipe.ts'
import type { Answer, WorkKind } from '../engine/worker-answers.ts'
import {
  MAX_REASON_CHARS,
  WORKER_PIPE,
  type WorkerMessage,
  type WorkerRequest,
} from '../engine/worker-process.ts'
import type { SealOrder } from '../sandbox/confinement.ts'

/** The kinds of work that a worker process does. The signal is aborted when the work is no longer wanted. */
export type Handlers = {
  readonly [Kind in WorkKind]?: (payload: never, signal: AbortSignal) => Promise<Answer<Kind>>
}

/**
 * Serves the parent process until that is gone or kills us: the whole life of a worker process. A confined one closes itself
 * first, and rejects where it cannot.
 */
export async function serveRequests(handlers: Handlers): Promise<void> {
  endWithParent()
  await sealAsTold()
  const running = new Map<number, AbortController>()
  const pipe = new Socket({ fd: WORKER_PIPE, readable: true, writable: true })
  const answer = (message: WorkerMessage) => messages.send(message)
  const take = async ({ id, task }: WorkerRequest) => {
    if (!task) return running.get(id)?.abort()
    answer({ kind: 'begun', id })
    const abort = new AbortController()
    running.set(id, abort)
    try {
      const handler = handlers[task.kind]
      if (!handler) throw new Error(`no work of the kind ${task.kind}`)
      answer({ kind: 'done', id, value: await handler(task.payload as never, abort.signal) })
    } catch (error) {
      const workDone =
        error instanceof MediaError ? (error.details.workDone as WorkDone | undefined) : undefined
      answer({
        kind: 'failed',
        id,
        message: messageOf(error).slice(0, MAX_REASON_CHARS),
        aborted: isAbort(error) && abort.signal.aborted,
        ...(workDone ? { workDone } : {}),
      })
    } finally {
      running.delete(id)
    }
  }
  const messages = new MessagePipe(pipe, {
    message: (request) => void take(request as WorkerRequest),
    nonsense: endAtOnce,
  })
  pipe.on('close', endAtOnce)
  // A terminal's Ctrl-C reaches the whole group; the parent finishes its work first and then ends us.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  answer({ kind: 'ready' })
}

/** `confine.ts` adds how to the command line. */
async function sealAsTold(): Promise<void> {
  const told = JSON.parse(process.argv[3] ?? 'null') as SealOrder
  if (!told) return
  const { seal } = await import('../sandbox/seal.ts')
  seal({ ...told, allowsExecution: false })
}

/** An ordinary exit would wait for native threads, which may hang. */
function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL')
}

/**
 * Native code that hangs keeps this thread from noticing that the pipe is closed; another one notices that the parent
 * has changed. And where the system runs out of memory it is to end this process rather than the parent.
 */
function endWithParent(): void {
  const watch = new Worker(WATCH, { eval: true, workerData: process.ppid, stdout: true, stderr: true })
  watch.unref()
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    // Not a Linux, or not allowed.
  }
}

const WATCH = `
  const { workerData: parent } = require('node:worker_threads')
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
  }, 500)
`
