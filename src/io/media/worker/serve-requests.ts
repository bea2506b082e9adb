import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { WorkDone } from '../../../domain/failed-work.ts'
import { isAbort, messageOf } from '../../../lib/errors.ts'
import { MediaError } from '../engine/media-error.ts'
import { MessagePipe } from '../engine/message-pipe.ts'
import type { Answer, WorkKind } from '../engine/worker-answers.ts'
import type { WorkerMessage } from '../engine/worker-process.ts'
import { MAX_REASON_CHARS, WORKER_PIPE, type WorkerRequest } from '../engine/worker-protocol.ts'
import type { SealOrder } from '../sandbox/confinement.ts'

/** The kinds of work of a worker process. The signal is aborted when the work is no longer needed. */
export type Handlers = {
  readonly [Kind in WorkKind]?: (payload: never, signal: AbortSignal) => Promise<Answer<Kind>>
}

/**
 * Serves the parent process until it exits or kills this one; this is the whole life of a worker process. A confined
 * worker seals itself first and rejects if it cannot.
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
  // Ctrl-C in a terminal reaches the whole process group; the parent finishes its work and then ends this process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  answer({ kind: 'ready' })
}

/** `confine.ts` puts the seal options on the command line. */
async function sealAsTold(): Promise<void> {
  const told = JSON.parse(process.argv[3] ?? 'null') as SealOrder
  if (!told) return
  const { seal } = await import('../sandbox/seal.ts')
  seal({ ...told, allowsExecution: false })
}

/** A normal exit would wait for native threads, which may hang. */
function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL')
}

/**
 * Hanging native code keeps this thread from noticing that the pipe was closed, so another thread checks whether the
 * parent has changed. Also makes the kernel kill this process rather than the parent when memory runs out.
 */
function endWithParent(): void {
  const watch = new Worker(WATCH, { eval: true, workerData: process.ppid, stdout: true, stderr: true })
  watch.unref()
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    // Not Linux, or not permitted.
  }
}

const WATCH = `
  const { workerData: parent } = require('node:worker_threads')
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
  }, 500)
`
