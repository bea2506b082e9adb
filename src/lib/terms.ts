import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import { isAbort, messageOf } from './errors.ts'
import type { Log } from './log.ts'
import { PassingFailure } from './passing-failure.ts'
import { Supervisor } from './service.ts'

/** Leadership is checked at least this often, even if no change was told. */
const CHECK_MS = 1_000
/** How soon to begin again when work could not be begun. */
const RETRY_MS = 1_000

/** Whether this process leads; each term has an epoch. */
export interface Leads {
  /** Null while this process does not lead. */
  readonly epoch: bigint | null
  onChange(listener: () => void, signal: AbortSignal): void
}

/**
 * The work of one term: starts its services with the supervisor, and resolves once they serve. The signal is aborted when
 * the term is over; the services are stopped after that.
 */
export type TermWork = (epoch: bigint, supervisor: Supervisor, term: AbortSignal) => Promise<void>

/**
 * Does the work whenever this process leads, anew in each term, until the signal is aborted. Work that cannot begin is tried
 * again while the term lasts; a service that fails later fails this too.
 */
export async function whileLeading(
  leads: Leads,
  work: TermWork,
  needs: { clock: Clock; log: Log },
  signal: AbortSignal,
): Promise<void> {
  const changed = new Alarm()
  const unable = new PassingFailure(
    { message: 'could not begin to lead, retrying', over: 'leads again', afterMs: 0 },
    needs,
  )
  leads.onChange(() => changed.ring(), signal)
  for (;;) {
    signal.throwIfAborted()
    const { epoch } = leads
    if (epoch === null) {
      await changed.wait(needs.clock, CHECK_MS, signal)
      continue
    }
    const isOver = async (end: AbortSignal) => {
      while (leads.epoch === epoch) await changed.wait(needs.clock, CHECK_MS, end)
    }
    try {
      await oneTerm((supervisor, term) => work(epoch, supervisor, term), isOver, signal)
      unable.passed()
    } catch (error) {
      if (signal.aborted || !(error instanceof Unbegun)) throw error
      if (leads.epoch === epoch) unable.failed({ epoch, reason: messageOf(error.cause) })
      await needs.clock.sleep(RETRY_MS, signal)
    }
  }
}

/** The work of a term could not begin. */
class Unbegun extends Error {}

async function oneTerm(
  work: (supervisor: Supervisor, term: AbortSignal) => Promise<void>,
  isOver: (end: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const term = new AbortController()
  const end = new AbortController()
  const stop = () => end.abort()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const over = isOver(end.signal).catch((error) => {
    if (!isAbort(error)) throw error
  })
  await using supervisor = new Supervisor()
  try {
    const begun = work(supervisor, term.signal).catch((error) => {
      throw new Unbegun('the work of a term could not begin', { cause: error })
    })
    await Promise.race([begun, over])
    begun.catch(() => {})
    await Promise.race([supervisor.failed, over])
  } finally {
    term.abort()
    stop()
    signal.removeEventListener('abort', stop)
    await over
  }
}
