import { isAbort, messageOf } from '../../lib/errors.ts'
import type { WorkerMessage, WorkerRequest } from './worker-process.ts'

/** The kinds of work that a worker process does. The signal is aborted when the work is no longer wanted. */
export type Handlers = Readonly<Record<string, (payload: never, signal: AbortSignal) => Promise<unknown>>>

/** Serves the parent process until it disconnects or kills us: the whole life of a worker process. */
export function serveRequests(handlers: Handlers): void {
  const running = new Map<number, AbortController>()
  const answer = (message: WorkerMessage) => void process.send?.(message, undefined, {}, () => {})
  process.on('message', async ({ id, task }: WorkerRequest) => {
    if (!task) return running.get(id)?.abort()
    const abort = new AbortController()
    running.set(id, abort)
    try {
      const handler = handlers[task.kind]
      if (!handler) throw new Error(`no work of the kind ${task.kind}`)
      answer({ kind: 'done', id, value: await handler(task.payload as never, abort.signal) })
    } catch (error) {
      answer({
        kind: 'failed',
        id,
        message: messageOf(error),
        aborted: isAbort(error) && abort.signal.aborted,
      })
    } finally {
      running.delete(id)
    }
  })
  // A parent that is killed cannot stop us. An ordinary exit would wait for native threads, which may hang.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  // A terminal's Ctrl-C reaches the whole group; the parent finishes its work first and then ends us.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  answer({ kind: 'ready' })
}
