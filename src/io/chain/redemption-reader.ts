import { encodeFunctionData, type Log, pad, parseEventLogs, toEventSelector } from 'viem'
import type { ChainUpdate } from '../../domain/chain.ts'
import { isRoundOver } from '../../domain/redemption.ts'
import type { WinningTicket } from '../../domain/ticket.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { FoundRedemption, RedemptionReads } from '../../services/redemption/redemption-proofs.ts'
import { ChainError } from './chain-error.ts'
import type { ChainClient } from './client.ts'
import { abis } from './contracts.ts'
import { EventReader } from './event-log.ts'
import { LogWindow } from './log-window.ts'
import { type RawLog, type RawReceipt, receiptSchema } from './raw-log.ts'

/** Blocks in one query of a search: a single recipient has few events in them. */
const SEARCH_WINDOW_BLOCKS = 10_000
/** The most queries of one search; older blocks are left out then. */
const MAX_SEARCH_REQUESTS = 120

/** Reads redemptions out of receipts and logs. */
export class RedemptionReader implements RedemptionReads {
  readonly #client: ChainClient
  readonly #account: Address | null
  readonly #events: EventReader
  /** Receipts under way: the tickets of one transaction share them. */
  readonly #asking = new Map<Hex, Promise<Receipts>>()

  /** `account`: whose transactions are this node's own; null: none are. */
  constructor(needs: { client: ChainClient; account: Address | null }) {
    this.#client = needs.client
    this.#account = needs.account
    this.#events = new EventReader(needs.client.addresses)
  }

  async redemptionIn(txHash: Hex, ticket: WinningTicket): Promise<FoundRedemption | null> {
    const { isLone, receipts } = await this.#receiptsOf(txHash)
    const [first, second] = receipts.map((receipt) => receipt && this.#foundIn(receipt, ticket, isLone))
    const differ = second !== undefined && (first?.block !== second?.block || first?.paid !== second?.paid)
    if (differ || receipts.some((receipt) => receipt?.blockHash !== receipts[0]?.blockHash)) {
      throw new ChainError('endpoints-differ', `two RPC endpoints differ about transaction ${txHash}`)
    }
    return first ?? null
  }

  async hasExpired(creationRound: bigint): Promise<boolean> {
    const to = this.#client.addresses.roundsManager
    const data = encodeFunctionData({ abi: abis.RoundsManager, functionName: 'currentRound' })
    const { answers, isLone } = await this.#client.rpc.askTwo('eth_call', [{ to, data }, 'latest'])
    // A single endpoint, the others being out of reach, must be a round further.
    const first = creationRound + (isLone ? 1n : 0n)
    return answers.every((answer) => isRoundOver(first, wordOf(answer)))
  }

  async announcedRedemptions(recipient: Address, from: bigint): Promise<ChainUpdate['events']> {
    const topics = abis.TicketBroker.flatMap((item) =>
      item.type === 'event' && REDEMPTION_EVENTS.has(item.name) ? [toEventSelector(item)] : [],
    )
    const window = new LogWindow(SEARCH_WINDOW_BLOCKS, {
      address: [this.#client.addresses.ticketBroker],
      topics: [topics, null, pad(recipient)],
    })
    const chunks: RawLog[][] = []
    let requests = 0
    let last = await this.#client.blockNumber()
    while (last >= from && requests < MAX_SEARCH_REQUESTS) {
      const first = last - BigInt(SEARCH_WINDOW_BLOCKS) + 1n
      const chunk: RawLog[] = []
      for (let at = first > from ? first : from; at <= last && requests < MAX_SEARCH_REQUESTS; requests++) {
        const start = at
        const { logs, to } = await this.#client.rpc.pinned((pin) => window.fetch(pin.request, start, last))
        chunk.push(...logs)
        at = to + 1n
      }
      chunks.unshift(chunk)
      last = first - 1n
    }
    return chunks.flat().flatMap((log) => this.#events.read(log) ?? [])
  }

  #receiptsOf(txHash: Hex): Promise<Receipts> {
    const known = this.#asking.get(txHash)
    if (known) return known
    const asking = this.#askReceipts(txHash).finally(() => this.#asking.delete(txHash))
    this.#asking.set(txHash, asking)
    return asking
  }

  async #askReceipts(txHash: Hex): Promise<Receipts> {
    const { answers, isLone } = await this.#client.rpc.askTwo('eth_getTransactionReceipt', [txHash])
    const receipts = answers.map((answer) => {
      if (answer === null) return null
      const parsed = receiptSchema.safeParse(answer)
      if (!parsed.success) throw new ChainError('bad-answer', `the RPC's receipt of ${txHash} is malformed`)
      return parsed.data
    })
    return { receipts, isLone }
  }

  #foundIn(receipt: RawReceipt, ticket: WinningTicket, isLone: boolean): FoundRedemption | null {
    const { ticketBroker } = this.#client.addresses
    const redeemed = receipt.status ? redemptionIn(receipt.logs, ticketBroker, ticket) : null
    if (!redeemed) return null
    const share = BigInt(countRedemptions(receipt.logs, ticketBroker))
    return {
      txHash: receipt.transactionHash,
      paid: redeemed.paid,
      fee: receipt.from === this.#account ? (receipt.gasUsed * receipt.effectiveGasPrice) / share : null,
      block: receipt.blockNumber,
      isLone,
    }
  }
}

/** A number that a contract answered. */
function wordOf(answer: unknown): bigint {
  if (typeof answer === 'string' && /^0x[0-9a-f]{64}$/i.test(answer)) return BigInt(answer)
  throw new ChainError('bad-answer', 'the RPC answered currentRound() in another form')
}

interface Receipts {
  readonly receipts: readonly (RawReceipt | null)[]
  readonly isLone: boolean
}

const REDEMPTION_EVENTS: ReadonlySet<string> = new Set(['WinningTicketTransfer', 'WinningTicketRedeemed'])

/** What a ticket paid in a transaction, by the contract's events; null when it was not redeemed there. */
export function redemptionIn(
  logs: readonly RawLog[],
  broker: Address,
  ticket: WinningTicket,
): { readonly paid: bigint } | null {
  let paid = 0n
  for (const event of eventsIn(logs, broker)) {
    const { recipient, sender } = event.args
    if (sender !== ticket.sender || recipient !== ticket.recipient) continue
    // A ticket's payment comes right before its redemption; one that paid nothing has none.
    if (event.eventName === 'WinningTicketTransfer') paid = event.args.amount
    else {
      const { recipientRand, senderNonce } = event.args
      if (senderNonce === BigInt(ticket.senderNonce) && recipientRand === ticket.recipientRand)
        return { paid }
      paid = 0n
    }
  }
  return null
}

/** How many tickets were redeemed in a transaction. */
export function countRedemptions(logs: readonly RawLog[], broker: Address): number {
  return eventsIn(logs, broker).filter(({ eventName }) => eventName === 'WinningTicketRedeemed').length
}

function eventsIn(logs: readonly RawLog[], broker: Address) {
  const own = logs.filter(({ address }) => address === broker)
  return parseEventLogs({
    abi: abis.TicketBroker,
    eventName: ['WinningTicketTransfer', 'WinningTicketRedeemed'],
    logs: own.map(({ data, topics }) => ({ data, topics })) as unknown as Log[],
  })
}
