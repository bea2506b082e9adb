import type { Clock } from './clock.ts'

/** Hosts remembered. Beyond this, idle hosts are forgotten first; if none is idle, new hosts are refused. */
const MAX_HOSTS = 10_000

/** Limits of one host. */
export interface PeerLimitOptions {
  readonly callsPerSecond: number
  /** Calls at once after an idle time. */
  readonly burst: number
  /** Concurrent streams. */
  readonly streams: number
}

interface Host {
  /** Calls it may make at once, as of `atMs`. */
  calls: number
  atMs: number
  streams: number
}

/** Limits calls and streams per host, so that one host cannot take the capacity of the others. */
export class PeerLimits {
  readonly #options: PeerLimitOptions
  readonly #clock: Clock
  readonly #hosts = new Map<string, Host>()

  constructor(options: PeerLimitOptions, needs: { clock: Clock }) {
    this.#options = options
    this.#clock = needs.clock
  }

  /** Counts a call and returns whether the host may make it now. */
  takeCall(name: string): boolean {
    const host = this.#host(name)
    if (!host || host.calls < 1) return false
    host.calls--
    return true
  }

  /** Takes one of the host's streams and returns a function that gives it back; null when all are taken. */
  takeStream(name: string): (() => void) | null {
    const host = this.#host(name)
    if (!host || host.streams >= this.#options.streams) return null
    host.streams++
    return () => {
      host.streams--
    }
  }

  #host(name: string): Host | null {
    const known = this.#hosts.get(name)
    if (known) {
      this.#refill(known)
      return known
    }
    if (this.#hosts.size >= MAX_HOSTS) this.#forgetTheQuiet()
    if (this.#hosts.size >= MAX_HOSTS) return null
    const host = { calls: this.#options.burst, atMs: this.#clock.now(), streams: 0 }
    this.#hosts.set(name, host)
    return host
  }

  #refill(host: Host): void {
    const { burst, callsPerSecond } = this.#options
    const nowMs = this.#clock.now()
    host.calls = Math.min(burst, host.calls + (Math.max(0, nowMs - host.atMs) * callsPerSecond) / 1000)
    host.atMs = nowMs
  }

  #forgetTheQuiet(): void {
    for (const [name, host] of this.#hosts) {
      this.#refill(host)
      if (host.streams === 0 && host.calls === this.#options.burst) this.#hosts.delete(name)
    }
  }
}
