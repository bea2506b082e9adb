import type { Clock } from './clock.ts'

/** Hosts remembered; beyond, those that are quiet are forgotten first, and then no further one is served. */
const MAX_HOSTS = 10_000

/** How much one host may ask for. */
export interface PeerLimitOptions {
  readonly callsPerSecond: number
  /** Calls at once, after a quiet time. */
  readonly burst: number
  /** Streams at the same time. */
  readonly streams: number
}

interface Host {
  /** Calls that it may make at once, and when that was true. */
  calls: number
  atMs: number
  streams: number
}

/** What one host may ask for, so that none takes all there is for the others. */
export class PeerLimits {
  readonly #options: PeerLimitOptions
  readonly #clock: Clock
  readonly #hosts = new Map<string, Host>()

  constructor(options: PeerLimitOptions, needs: { clock: Clock }) {
    this.#options = options
    this.#clock = needs.clock
  }

  /** Whether the host may make a call now; counts it. */
  takeCall(name: string): boolean {
    const host = this.#host(name)
    if (!host || host.calls < 1) return false
    host.calls--
    return true
  }

  /** Takes one of the host's streams; null when it has all of them. Gives what gives it back. */
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
