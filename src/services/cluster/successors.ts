import type { SeenMember } from '../../domain/member.ts'
import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { TimeLimit } from '../../lib/patience.ts'
import { ByteBudget } from '../../lib/request-body.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** How long results of a node that has left are kept: gateways fetch them at once, and give up after 4 s (wire.md §12). */
const KEPT_MS = 10_000
/** Bytes that are kept for all nodes that left, with what each result takes beside its own. */
const MAX_KEPT_BYTES = 256_000_000
const OVERHEAD_BYTES = 512
/** A node gives its results away within this time; the others it keeps until they are fetched. */
const HANDING_MS = 3_000
const TELLING_MS = 1_000
/** Siblings that are asked to keep results, one after the other, and results that are sent to one at a time. */
const MAX_ASKED = 2
const AT_ONCE = 4
/** Nodes whose successors are remembered. */
const MAX_SUCCESSIONS = 1_000

/** A result that its gateway has not fetched yet. */
export interface LeftResult {
  /** `{session}/{profile}/{seq}.ts`. */
  readonly path: string
  readonly bytes: Uint8Array
}

/** What a node that leaves asks of its siblings. The calls reject where a sibling does not do it. */
export interface SuccessionCalls {
  /** Keeps a result for this node. */
  keep(sibling: SeenMember, result: LeftResult, signal: AbortSignal): Promise<void>
  /** Remembers which sibling keeps this node's results. */
  succeeded(sibling: SeenMember, successor: string, signal: AbortSignal): Promise<void>
}

/** What succession needs. */
export interface SuccessorsNeeds {
  readonly siblings: { toAsk(): readonly SeenMember[] }
  readonly members: { readonly siblings: readonly SeenMember[] }
  readonly calls: SuccessionCalls
  readonly clock: Clock
  readonly log: Log
}

/**
 * Results that outlive their node for some seconds: a node that leaves gives those that are not fetched yet to a sibling, its
 * successor, and tells all others, which fetch them there. What siblings give is bounded in bytes and time.
 */
export class Successors implements Service {
  readonly name = 'successors'
  readonly #needs: SuccessorsNeeds
  readonly #room = new ByteBudget(MAX_KEPT_BYTES)
  /** By the node that had it and its path. */
  readonly #kept = new Map<string, Uint8Array>()
  /** By node; the oldest first. */
  readonly #successors = new Map<string, { readonly node: string; readonly untilMs: number }>()
  #stopped: AbortSignal | null = null

  constructor(needs: SuccessorsNeeds) {
    this.#needs = needs
  }

  start(scope: Scope): void {
    this.#stopped = scope.signal
  }

  /** Gives results to a sibling. Resolves to the paths of those that it keeps; never rejects. */
  async giveAway(results: readonly LeftResult[]): Promise<ReadonlySet<string>> {
    const given = new Set<string>()
    if (results.length === 0) return given
    const { clock, log, members, siblings } = this.#needs
    using limit = new TimeLimit(clock, HANDING_MS)
    for (const sibling of siblings.toAsk().slice(0, MAX_ASKED)) {
      await this.#giveTo(sibling, results, given, limit.signal)
      if (given.size === 0) continue
      const { address: successor, node } = sibling
      await Promise.all(members.siblings.map((other) => this.#tell(other, node)))
      log.info('results handed to a sibling', { sibling: successor, results: given.size })
      break
    }
    return given
  }

  /** Keeps a result for a sibling that leaves. False where there is no room. */
  keep(origin: string, { bytes, path }: LeftResult): boolean {
    const key = keyOf(origin, path)
    const size = bytes.length + OVERHEAD_BYTES
    if (this.#kept.has(key)) return true
    if (!this.#room.take(size)) return false
    this.#kept.set(key, bytes)
    const drop = () => {
      this.#kept.delete(key)
      this.#room.give(size)
    }
    this.#needs.clock.sleep(KEPT_MS, this.#stopped ?? undefined).then(drop, drop)
    return true
  }

  /** A result that this node keeps for one that has left; null where it has none. */
  kept(origin: string, path: string): Uint8Array | null {
    return this.#kept.get(keyOf(origin, path)) ?? null
  }

  /** Remembers who keeps the results of a node that leaves. */
  succeeded(origin: string, successor: string): void {
    const now = this.#needs.clock.now()
    this.#successors.delete(origin)
    for (const [node, { untilMs }] of this.#successors) {
      if (untilMs > now && this.#successors.size < MAX_SUCCESSIONS) break
      this.#successors.delete(node)
    }
    this.#successors.set(origin, { node: successor, untilMs: now + KEPT_MS })
  }

  /** The id of the node that keeps the results of another one; null where that one has not left lately. */
  of(origin: string): string | null {
    const found = this.#successors.get(origin)
    return found && found.untilMs > this.#needs.clock.now() ? found.node : null
  }

  async #giveTo(
    sibling: SeenMember,
    results: readonly LeftResult[],
    given: Set<string>,
    signal: AbortSignal,
  ): Promise<void> {
    const { calls, log } = this.#needs
    const rest = [...results]
    let isRefused = false
    const give = async () => {
      for (let next = rest.shift(); next && !isRefused; next = rest.shift()) {
        try {
          await calls.keep(sibling, next, signal)
          given.add(next.path)
        } catch (error) {
          isRefused = true
          log.debug('result not handed to a sibling', { sibling: sibling.address, reason: messageOf(error) })
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, give))
  }

  async #tell(sibling: SeenMember, successor: string): Promise<void> {
    const { calls, clock, log } = this.#needs
    if (sibling.fingerprint === '' || sibling.node === successor) return
    using limit = new TimeLimit(clock, TELLING_MS)
    await calls
      .succeeded(sibling, successor, limit.signal)
      .catch((error) => log.debug('sibling not told of the successor', { node: sibling.node, error }))
  }
}

function keyOf(origin: string, path: string): string {
  return `${origin}/${path}`
}
