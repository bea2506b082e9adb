import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { DatagramSocket } from './datagram.ts'

/** The variables by which systemd asks a service to report to it (sd_notify(3), sd_watchdog_enabled(3)). */
export interface ManagerVariables {
  /** `NOTIFY_SOCKET`: the socket that it listens on. */
  readonly socket: string
  /** `WATCHDOG_USEC`: the longest time between two signs of life; absent: it wants none. */
  readonly watchdogUs?: string | undefined
  /** `WATCHDOG_PID`: the process that shall give them, if another one than this may inherit the variables. */
  readonly watchdogPid?: string | undefined
}

/** A sign of life comes twice as often as it is due. */
const SIGNS_PER_LIMIT = 2
/** What could not be sent is sent again after this time: systemd may be busy for a moment. */
const RETRY_MS = 200
/** What systemd has not taken for this long is worth a warning. */
const WARN_AFTER_MS = 1_000

/**
 * Tells systemd how far the node has come: `READY=1` once it can serve, `STATUS=` at each step, `STOPPING=1` at its end,
 * and `WATCHDOG=1` as long as its event loop turns. What cannot be delivered at once is tried again; the node never waits
 * for it.
 */
export class ServiceManager implements Service {
  readonly name = 'service manager'
  readonly #socket: Pick<DatagramSocket, 'send'> & Disposable
  readonly #clock: Clock
  readonly #log: Log
  readonly #signMs: number | null
  /** Not delivered yet, oldest first; of each variable the newest value. */
  readonly #unsent = new Map<string, string>()
  /** When delivery first failed; null while it succeeds. */
  #failsSince: number | null = null
  #hasWarned = false

  /** Throws NodeError `not-sent` if the variables name no socket. */
  constructor(
    variables: ManagerVariables,
    needs: { clock: Clock; log: Log; pid: number; socket?: Pick<DatagramSocket, 'send'> & Disposable },
  ) {
    this.#socket = needs.socket ?? new DatagramSocket(variables.socket)
    this.#clock = needs.clock
    this.#log = needs.log
    this.#signMs = signEveryMs(variables, needs.pid)
  }

  start(scope: Scope): void {
    scope.defer(() => this.#socket[Symbol.dispose]())
    scope.spawn('deliver', async (signal) => {
      for (;;) {
        this.#deliver()
        await this.#clock.sleep(RETRY_MS, signal)
      }
    })
    const signMs = this.#signMs
    if (signMs === null) return
    scope.spawn('give signs of life', async (signal) => {
      for (;;) {
        this.#tell('WATCHDOG', '1')
        await this.#clock.sleep(signMs, signal)
      }
    })
  }

  /** What the node does or waits for, in a few words. */
  status(text: string): void {
    this.#tell('STATUS', text.replaceAll('\n', ' '))
  }

  /** The node has started. */
  ready(): void {
    this.#tell('READY', '1')
  }

  /** The node takes no more work and ends. */
  stopping(): void {
    this.#tell('STOPPING', '1')
  }

  #tell(name: string, value: string): void {
    this.#unsent.set(name, value)
    this.#deliver()
  }

  #deliver(): void {
    if (this.#unsent.size === 0) return
    try {
      this.#socket.send([...this.#unsent].map(([name, value]) => `${name}=${value}`).join('\n'))
      this.#unsent.clear()
      this.#failsSince = null
      this.#hasWarned = false
    } catch (error) {
      const now = this.#clock.now()
      this.#failsSince ??= now
      if (this.#hasWarned || now - this.#failsSince < WARN_AFTER_MS) return
      this.#log.warn('systemd not told yet, retrying', { reason: messageOf(error) })
      this.#hasWarned = true
    }
  }
}

/** Null where no signs of life are wanted of this process. */
function signEveryMs({ watchdogPid, watchdogUs }: ManagerVariables, pid: number): number | null {
  const isMeant = watchdogPid === undefined || watchdogPid === '' || Number(watchdogPid) === pid
  const limitUs = /^\d{1,15}$/.test(watchdogUs ?? '') ? Number(watchdogUs) : 0
  return isMeant && limitUs > 0 ? limitUs / 1000 / SIGNS_PER_LIMIT : null
}
