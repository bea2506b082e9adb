import { z } from 'zod'
import { type Causes, noCauses } from '../../domain/causes.ts'
import {
  type ChainEvent,
  type ChainHead,
  type ChainUpdate,
  type EventPlace,
  isConfirmed,
} from '../../domain/chain.ts'
import type { Clock } from '../../lib/clock.ts'
import { isAbort, messageOf } from '../../lib/errors.ts'
import { Listeners } from '../../lib/listeners.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import { ChainError } from './chain-error.ts'
import type { ContractAddresses } from './contracts.ts'
import { EventReader } from './event-log.ts'
import { LogWindow } from './log-window.ts'
import { fetchHeader, headerOf, type RawHeader, toQuantity } from './raw-header.ts'
import type { RawLog } from './raw-log.ts'
import type { PinnedRpc, Rpc } from './rpc.ts'

/** Keeps the position in the chain over restarts. */
export interface CursorStore {
  /** What `saveCursor` was last given, or null. */
  loadCursor(): Promise<string | null>
  saveCursor(json: string): Promise<void>
}

/** Settings of the watcher. */
export interface WatcherOptions {
  /** `-blockPollingInterval` (chain.md §8: 5 s). */
  readonly pollMs: number
  /** Blocks asked for in one log query (chain.md §8). */
  readonly windowBlocks?: number
  /** How many headers are kept to find where a reorganised chain parted. */
  readonly rememberedHeaders?: number
  /** After this long without a new block the chain counts as standing still. */
  readonly staleAfterMs?: number
}

/** The state of the watcher. */
export type WatchHealth =
  | { readonly kind: 'starting' }
  | { readonly kind: 'live'; readonly sinceMs: number }
  /** The chain answers but brings no new blocks. */
  | { readonly kind: 'standing-still'; readonly sinceMs: number }
  | { readonly kind: 'down'; readonly sinceMs: number; readonly reason: string }

const DEFAULT_WINDOW_BLOCKS = 1_000
const DEFAULT_REMEMBERED_HEADERS = 128
const DEFAULT_STALE_AFTER_MS = 120_000
/** Events further back are not fetched: the state is read instead, which is quicker. */
const MAX_BACKFILL_BLOCKS = 200_000n
/** The longest wait after failures. */
const MAX_BACKOFF_MS = 15_000
/** For this many looks an endpoint that is behind is waited for; then its chain may be taken for the right one. */
const BEHIND_LOOKS = 5
/** How often a block is asked for: the next replica may know what the last one did not. */
const UNKNOWN_BLOCK_ASKS = 3
/** After this many refusals of logs in a row the chain counts as down: a lagging replica refuses only new blocks. */
const TOLERATED_REFUSALS = 3

const cursorSchema = z.object({
  number: z
    .string()
    .regex(/^\d{1,30}$/)
    .transform(BigInt),
  hash: z.string().regex(/^0x[0-9a-f]{64}$/),
})

interface Seen {
  readonly number: bigint
  readonly hash: string
}

/**
 * Follows the chain: its blocks and the protocol's events, in order, from where the last run ended; notices when blocks
 * that were seen are gone, and tells the events of what came in their place. A chain that does not answer is asked
 * until it does.
 */
export class ChainWatcher implements Service {
  readonly name = 'chain watcher'
  readonly #options: Required<WatcherOptions>
  readonly #rpc: Rpc
  readonly #cursor: CursorStore
  readonly #clock: Clock
  readonly #log: Log
  readonly #causes: Causes
  readonly #reader: EventReader
  readonly #window: LogWindow
  readonly #listeners = new Listeners<ChainUpdate>()
  /** Headers seen, oldest first, one for each step; the last is the present position. */
  #seen: Seen[] = []
  #head: ChainHead | null = null
  #advancedAtMs = 0
  #behindLooks = 0
  #refusals = 0
  #health: WatchHealth = { kind: 'starting' }

  constructor(
    options: WatcherOptions,
    needs: {
      rpc: Rpc
      addresses: ContractAddresses
      cursor: CursorStore
      causes?: Causes
      clock: Clock
      log: Log
    },
  ) {
    this.#options = {
      windowBlocks: DEFAULT_WINDOW_BLOCKS,
      rememberedHeaders: DEFAULT_REMEMBERED_HEADERS,
      staleAfterMs: DEFAULT_STALE_AFTER_MS,
      ...options,
    }
    this.#rpc = needs.rpc
    this.#cursor = needs.cursor
    this.#clock = needs.clock
    this.#log = needs.log
    this.#causes = needs.causes ?? noCauses
    this.#reader = new EventReader(needs.addresses)
    this.#window = new LogWindow(this.#options.windowBlocks, {
      address: this.#reader.addresses,
      topics: this.#reader.topics,
    })
  }

  /** Resolves after the first look, which catches up with what happened since the last run, or failed. */
  async start(scope: Scope): Promise<void> {
    const cursor = await this.#loadCursor()
    if (cursor) this.#seen = [cursor]
    let failures = await this.#look(scope.signal, 0)
    scope.spawn('follow', async (signal) => {
      for (;;) {
        const longest = Math.max(MAX_BACKOFF_MS, this.#options.pollMs)
        await this.#clock.sleep(Math.min(longest, this.#options.pollMs * 2 ** Math.min(failures, 10)), signal)
        failures = await this.#look(signal, failures)
      }
    })
  }

  /** Calls the listener with every step from now on. Its errors are logged and affect no other listener. */
  subscribe(listener: (update: ChainUpdate) => void, signal: AbortSignal): void {
    this.#listeners.add((update) => {
      try {
        listener(update)
      } catch (error) {
        this.#log.error('chain listener failed', { error })
      }
    }, signal)
  }

  /** The newest block seen; null before the first. */
  get head(): ChainHead | null {
    return this.#head
  }

  /** The newest block seen, for reads that must not be of an older one; null while the chain is not followed. */
  get followed(): bigint | null {
    return this.#health.kind === 'down' ? null : (this.#head?.number ?? null)
  }

  /** The state of the watcher. */
  get health(): WatchHealth {
    return this.#health
  }

  /** One look; returns how many failed in a row. */
  async #look(signal: AbortSignal, failures: number): Promise<number> {
    try {
      await this.#rpc.pinned((pin) => this.#step(pin), signal)
      this.#noteAlive()
      return 0
    } catch (error) {
      if (isAbort(error)) throw error
      signal.throwIfAborted()
      if (isLag(error) && this.#refusals++ < TOLERATED_REFUSALS && this.#head !== null) {
        this.#log.debug('endpoint lags behind the block it reported', { reason: messageOf(error) })
        return failures
      }
      this.#noteDown(messageOf(error))
      return failures + 1
    }
  }

  async #step(pin: PinnedRpc): Promise<void> {
    const last = this.#seen.at(-1)
    const head = await newestHeader(pin, last?.number ?? 0n)
    pin.sawHead(head)
    // History is not told on the first start: what it led to is read from the contracts (chain.md §20, B7).
    if (last === undefined) return this.#tell(head, [], { reorganised: false })
    if (await this.#isBehind(pin, head, last)) return
    const parting = await this.#partingBlock(pin, head)
    if (parting === 'unknown') return
    if (parting === null || head.number - parting.number > MAX_BACKFILL_BLOCKS) {
      this.#log.info('too far behind the chain, or on another one: reading everything again', {
        lastSeen: last.number,
        head: head.number,
      })
      this.#seen = []
      return this.#tell(head, [], { reorganised: true })
    }
    const reorganised = parting !== last
    if (reorganised) {
      this.#log.info('chain reorganised', {
        parted: parting.number,
        lastSeen: last.number,
        head: head.number,
      })
      this.#seen = this.#seen.slice(0, this.#seen.indexOf(parting) + 1)
    }
    await this.#catchUp(pin, head, reorganised)
  }

  /**
   * Whether this endpoint merely lags behind the last block seen. Another chain, or a reorganised one, is believed only
   * after some looks, and only when the last block is unknown, asked twice: one address may stand for several replicas, of
   * which some lag.
   */
  async #isBehind(pin: PinnedRpc, head: RawHeader, last: Seen): Promise<boolean> {
    if (head.number >= last.number) {
      this.#behindLooks = 0
      return false
    }
    const comparable = this.#seen.findLast(({ number }) => number <= head.number)
    if (comparable && (await this.#compare(pin, comparable, head)) === 'gone') return false
    if (++this.#behindLooks > BEHIND_LOOKS && (await isForgotten(pin, last))) return false
    this.#log.debug('endpoint is behind the last block seen', { head: head.number, lastSeen: last.number })
    return true
  }

  /**
   * The newest block seen that is still in the chain; null when none is; `unknown` when lagging replicas leave that open.
   */
  async #partingBlock(pin: PinnedRpc, head: RawHeader): Promise<Seen | null | 'unknown'> {
    for (const seen of this.#seen.toReversed()) {
      if (seen.number > head.number) continue
      if (seen.number + 1n === head.number && head.parentHash === seen.hash) return seen
      const found = await this.#compare(pin, seen, head)
      if (found === 'kept') return seen
      if (found === 'unknown') return found
    }
    return null
  }

  /**
   * Whether a block that was seen is still in the chain. It is gone when two answers, of two endpoints where there are
   * several, show another one in its place. A block that no endpoint knows is not yet gone.
   */
  async #compare(pin: PinnedRpc, seen: Seen, head: RawHeader): Promise<'kept' | 'gone' | 'unknown'> {
    const there = await hashOf(pin, seen.number, head)
    if (there === null) return 'unknown'
    if (there === seen.hash) return 'kept'
    const { answers } = await this.#rpc.askTwo('eth_getBlockByNumber', [toQuantity(seen.number), false])
    const isGone = answers.every((answer) => headerOf(answer)?.hash === there)
    return isGone ? 'gone' : 'unknown'
  }

  async #catchUp(pin: PinnedRpc, head: RawHeader, reorganised: boolean): Promise<void> {
    const keptTo = this.#seen.at(-1)!.number
    let how: Told = reorganised ? { reorganised, keptTo } : { reorganised }
    if (keptTo >= head.number) {
      if (reorganised) await this.#tell(head, [], how)
      return
    }
    for (let from = keptTo + 1n; from <= head.number; ) {
      const { logs, to } = await this.#logsFrom(pin, from, head.number)
      const header = to === head.number ? head : await fetchHeader(pin.request, to)
      // The chain changed while it was read: the next look shows how.
      if (header === null || logs.some((log) => log.blockNumber === to && log.blockHash !== header.hash))
        return
      await this.#tell(header, logs, how)
      how = { reorganised: false }
      from = to + 1n
    }
  }

  /** The logs of the next blocks. A refusal by a lagging replica is retried: another one may answer. */
  async #logsFrom(pin: PinnedRpc, from: bigint, last: bigint): Promise<{ logs: RawLog[]; to: bigint }> {
    for (let asks = 1; ; asks++) {
      try {
        const fetched = await this.#window.fetch(pin.request, from, last)
        this.#refusals = 0
        return fetched
      } catch (error) {
        if (!isLag(error) || isConfirmed(from, last) || asks >= UNKNOWN_BLOCK_ASKS) throw error
      }
    }
  }

  async #tell(header: RawHeader, logs: readonly RawLog[], how: Told): Promise<void> {
    const { number, hash, parentHash, l1Block, timestamp } = header
    this.#head = { number, hash, parentHash, l1Block, timestamp }
    if (this.#seen.at(-1)?.number !== number) this.#seen.push({ number, hash })
    if (this.#seen.length > this.#options.rememberedHeaders) this.#seen.shift()
    this.#advancedAtMs = this.#clock.now()
    const events = logs
      .map((log) => this.#reader.read(log))
      .filter((event): event is ChainEvent & EventPlace => event !== null)
    this.#listeners.tell({ head: this.#head, events, ...how })
    await this.#saveCursor()
  }

  async #loadCursor(): Promise<Seen | null> {
    const json = await this.#cursor.loadCursor()
    if (json === null) return null
    try {
      return cursorSchema.parse(JSON.parse(json))
    } catch {
      this.#log.warn('cannot read the stored chain position, starting at the newest block')
      return null
    }
  }

  /** Stores the position from which the next run follows the chain; unconfirmed events are repeated then. */
  async #saveCursor(): Promise<void> {
    const { number: newest } = this.#head!
    const { hash, number } = this.#seen.findLast((seen) => isConfirmed(seen.number, newest)) ?? this.#seen[0]!
    try {
      await this.#cursor.saveCursor(JSON.stringify({ number: number.toString(), hash }))
    } catch (error) {
      // Harmless: after a restart listeners hear some events again.
      this.#log.warn('could not store the chain position', { reason: messageOf(error) })
    }
  }

  #noteAlive(): void {
    const now = this.#clock.now()
    const silentMs = now - this.#advancedAtMs
    const kind = silentMs > this.#options.staleAfterMs ? 'standing-still' : 'live'
    if (kind === 'standing-still') {
      const block = this.#head?.number ?? 0n
      this.#causes.met({ code: 'chain-standing-still', facts: { block, silentMs } })
    }
    if (this.#health.kind === kind) return
    if (this.#health.kind === 'down') this.#causes.over('chain-unreachable')
    if (kind === 'live') this.#causes.over('chain-standing-still')
    this.#health = { kind, sinceMs: now }
  }

  #noteDown(reason: string): void {
    this.#causes.over('chain-standing-still')
    this.#causes.met({ code: 'chain-unreachable', facts: { reason } })
    if (this.#health.kind === 'down') {
      this.#health = { ...this.#health, reason }
      return
    }
    this.#health = { kind: 'down', sinceMs: this.#clock.now(), reason }
  }
}

/** How an update came about. */
type Told = Pick<ChainUpdate, 'reorganised' | 'keptTo'>

/** The newest block; asked for again when it is older than expected, since another replica may be ahead. */
async function newestHeader(pin: PinnedRpc, expected: bigint): Promise<RawHeader> {
  const first = await fetchHeader(pin.request, 'latest')
  const second = first && first.number < expected ? await fetchHeader(pin.request, 'latest') : null
  const head = second && first && second.number > first.number ? second : first
  if (head === null) throw new ChainError('bad-answer', 'the RPC has no newest block')
  return head
}

/** Whether a block is unknown, asked twice. */
async function isForgotten(pin: PinnedRpc, { number }: Seen): Promise<boolean> {
  for (let asked = 0; asked < 2; asked++) {
    if ((await fetchHeader(pin.request, number)) !== null) return false
  }
  return true
}

/** The hash of a block; null when no replica knows it that was asked. */
async function hashOf(pin: PinnedRpc, number: bigint, head: RawHeader): Promise<string | null> {
  if (number === head.number) return head.hash
  for (let asks = 0; asks < UNKNOWN_BLOCK_ASKS; asks++) {
    const header = await fetchHeader(pin.request, number)
    if (header) return header.hash
  }
  return null
}

function isLag(error: unknown): boolean {
  return error instanceof ChainError && error.code === 'rpc-refused'
}
