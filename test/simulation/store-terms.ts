import type { Fence } from '../../src/domain/lease.ts'
import { ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import type { TicketState } from '../../src/domain/ticket-state.ts'
import { formatHex, type Hex } from '../../src/lib/bytes.ts'
import type { StoredTicket, TicketRecords } from '../../src/services/orchestrator/payment-records.ts'
import type { OpenTicketRecords } from '../../src/services/redemption/open-tickets.ts'
import type { StoreModel } from './store-model.ts'
import type { StoreProcess, StoreWorld } from './store-process.ts'

/** The tickets of the store as one process asks for them, with the fence of a leader's writes. */
export interface LedRecords extends Omit<TicketRecords, 'saveTicketState'>, OpenTicketRecords {
  saveTicketState(
    hash: Uint8Array,
    state: TicketState,
    nowMs: number,
    remark: { readonly fence: Fence },
  ): Promise<void>
  reveal(hash: Uint8Array, block: bigint, fence: Fence): Promise<void>
}

/** Makes them. */
export function ledRecords({ gate, link }: StoreProcess, model: StoreModel): LedRecords {
  const ask = <T>(work: () => T) => gate.pass(() => link.ask(work))
  return {
    addTickets: (tickets, nowMs) => ask(() => model.addTickets(tickets, nowMs)),
    async *unfinishedTickets(isKnown = () => false) {
      const all = await ask(() => model.unfinished)
      const some: StoredTicket[] = all.filter(({ hash }) => !isKnown(formatHex(hash)))
      if (some.length > 0) yield some
    },
    redeemedSince: (block) => ask(() => model.redeemedSince(block)),
    countTickets: () => ask(() => [...model.countTickets()]),
    async *openTickets() {
      const all = await ask(() => model.unfinished)
      yield all.map(({ hash, state, ticket }) => ({ id: formatHex(hash), state, ticket }))
    },
    stillOpen: (ids) =>
      ask(() => {
        const open = new Set(model.unfinished.map(({ hash }) => formatHex(hash)))
        return new Set(ids.filter((id) => open.has(id)))
      }),
    saveTicketState: (hash, state, _nowMs, { fence }) => ask(() => model.saveTicketState(hash, state, fence)),
    reveal: (hash, _block, fence) => ask(() => model.reveal(hash, fence)),
  }
}

/** One term of a leader. */
export interface Term {
  readonly process: StoreProcess
  readonly world: StoreWorld
  readonly fence: Fence
}

/**
 * The nonces of the redeemers' account in one term: read when it begins, counted in memory, and stored before anything is
 * sent under them, as `Transactions` does.
 */
export class LedNonces {
  readonly #term: Term
  #loaded: Promise<void> | null = null
  readonly #known = new Map<Hex, number>()
  #next = 0

  constructor(term: Term) {
    this.#term = term
  }

  /** Stores what a nonce is spent on; throws StoreError `lease-lost` once another process leads. */
  async spendOn(ticket: WinningTicket): Promise<void> {
    const { fence, process, world } = this.#term
    const { model } = world
    const hash = formatHex(ticketHash(ticket))
    this.#loaded ??= this.#load().catch((error) => {
      this.#loaded = null
      throw error
    })
    await this.#loaded
    const nonce = this.#known.get(hash) ?? this.#next++
    this.#known.set(hash, nonce)
    world.mayPause(process)
    await process.gate.pass(() => process.link.ask(() => model.saveTransaction(nonce, hash, fence)))
    // What is sent now is what the store says, whoever leads by now.
    if (model.transactions.get(nonce) !== hash) model.violations.push(`nonce ${nonce} is sent for ${hash}`)
  }

  async #load(): Promise<void> {
    const { process, world } = this.#term
    const { model } = world
    const rows = await process.gate.pass(() => process.link.ask(() => [...model.transactions]))
    for (const [nonce, hash] of rows) {
      this.#known.set(hash, nonce)
      this.#next = Math.max(this.#next, nonce + 1)
    }
  }
}
