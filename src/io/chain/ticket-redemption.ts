import { encodeFunctionData } from 'viem'
import type { ChainUpdate } from '../../domain/chain.ts'
import { auxData, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import type {
  RedeemOptions,
  RedemptionChain,
  RedemptionResult,
  Simulation,
} from '../../services/redemption/redemption-chain.ts'
import type { FoundRedemption } from '../../services/redemption/redemption-proofs.ts'
import { ChainError, revertReason } from './chain-error.ts'
import type { ChainClient } from './client.ts'
import { abis } from './contracts.ts'
import type { TransactionSender } from './led-transactions.ts'
import { toQuantity } from './raw-header.ts'
import { countRedemptions, RedemptionReader, redemptionIn } from './redemption-reader.ts'
import { checkedGas } from './transaction-attempts.ts'
import type { MinedTransaction } from './transaction-request.ts'

/** How long to wait for other tickets to share a transaction. */
const GATHER_MS = 50
/** The most tickets in one transaction by default: a batch must fit into a block beside others. */
const MAX_BATCH = 16
/** Gas margin of one ticket: a state that changes before it is mined must not run it out of gas. */
const MARGIN_PERCENT = 20n
/** Gas margin of a batch, on the sum of its tickets. */
const BATCH_MARGIN_PERCENT = 25n

/** A ticket that is to be sent. */
interface Wanted {
  readonly id: Hex
  readonly ticket: WinningTicket
  /** Wei. */
  readonly maxCost: bigint
  readonly signal: AbortSignal
  readonly result: PromiseWithResolvers<RedemptionResult>
}

/**
 * Redeems winning tickets at the TicketBroker (contracts.md §10): those wanted at the same time in one transaction, which
 * names them in its purpose, so that after a restart each finds the one it is in.
 */
export class TicketRedemption implements RedemptionChain {
  readonly #client: ChainClient
  readonly #transactions: TransactionSender
  readonly #account: Address
  readonly #clock: Clock
  readonly #wanted = new Map<Hex, Wanted>()
  readonly #gathered: Wanted[] = []
  readonly #reader: RedemptionReader
  readonly #maxBatch: number

  constructor(
    needs: { client: ChainClient; transactions: TransactionSender; account: Address; clock: Clock },
    options: { maxBatch?: number } = {},
  ) {
    this.#maxBatch = options.maxBatch ?? MAX_BATCH
    this.#clock = needs.clock
    this.#client = needs.client
    this.#transactions = needs.transactions
    this.#account = needs.account
    this.#reader = new RedemptionReader(needs)
  }

  redemptionIn(txHash: Hex, ticket: WinningTicket): Promise<FoundRedemption | null> {
    return this.#reader.redemptionIn(txHash, ticket)
  }

  hasExpired(creationRound: bigint): Promise<boolean> {
    return this.#reader.hasExpired(creationRound)
  }

  announcedRedemptions(recipient: Address, from: bigint): Promise<ChainUpdate['events']> {
    return this.#reader.announcedRedemptions(recipient, from)
  }

  /** Whether the chain has seen this ticket redeemed. */
  isTicketUsed(hash: Uint8Array): Promise<boolean> {
    return this.#client.isTicketUsed(hash)
  }

  /**
   * What redeeming would bring, all of it judged at one block: from the deposit, and for the rest from the recipient's
   * share of the reserve. A revert comes with the contract's reason. Throws ChainError when the chain cannot be asked.
   */
  async simulate(ticket: WinningTicket): Promise<Simulation> {
    const at = await this.#client.blockNumber()
    const call = { from: this.#account, to: this.#client.addresses.ticketBroker, data: redeemCall(ticket) }
    try {
      const [gas, sender] = await Promise.all([
        this.#client.rpc.quantity('eth_estimateGas', [call, toQuantity(at)]),
        this.#client.senderInfo(ticket.sender, at),
      ])
      if (ticket.faceValue <= sender.deposit) return { kind: 'pays', amount: ticket.faceValue, gas }
      const claimable = await this.#client.claimableReserve(ticket.sender, ticket.recipient, at)
      const most = sender.deposit + claimable
      if (most < ticket.faceValue) return { kind: 'pays', amount: most, gas }
      return { kind: 'pays', amount: ticket.faceValue, gas }
    } catch (error) {
      const reason = revertReason(error)
      if (reason === null) throw error
      return { kind: 'reverts', reason }
    }
  }

  /**
   * Sends the ticket, once however often it is called, and waits for the receipt; together with others that are wanted
   * at the same time. A `timed-out` one is still watched: calling again goes on waiting for it. An aborted signal throws.
   */
  async redeem(
    ticket: WinningTicket,
    { maxCost }: RedeemOptions,
    signal: AbortSignal,
  ): Promise<RedemptionResult> {
    signal.throwIfAborted()
    const id = formatHex(ticketHash(ticket))
    const isFor = (purpose: string) => purpose.split(' ').includes(id)
    const open = this.#transactions.join(isFor, signal)
    if (open) {
      this.#transactions.allow(isFor, (purpose) => maxCost * BigInt(purpose.split(' ').length - 1))
      return this.#resultOf(open, ticket)
    }
    const known = this.#wanted.get(id)
    if (known) return known.result.promise
    const wanted: Wanted = { id, ticket, maxCost, signal, result: Promise.withResolvers() }
    this.#wanted.set(id, wanted)
    this.#gathered.push(wanted)
    if (this.#gathered.length === 1) this.#sendSoon()
    return wanted.result.promise.finally(() => this.#wanted.delete(id))
  }

  /** Sends what was gathered a moment later, in batches. */
  #sendSoon(): void {
    const send = () => {
      const gathered = this.#gathered.splice(0)
      for (let at = 0; at < gathered.length; at += this.#maxBatch) {
        const some = gathered.slice(at, at + this.#maxBatch)
        this.#send(some).catch((error) => {
          for (const { result } of some) {
            if (error instanceof ChainError) result.resolve(notSent(error))
            else result.reject(error)
          }
        })
      }
    }
    void this.#clock.sleep(GATHER_MS).then(send)
  }

  async #send(wanted: readonly Wanted[]): Promise<void> {
    const at = await this.#client.blockNumber()
    const estimates = await Promise.all(wanted.map((one) => this.#estimate(one, at)))
    const good = wanted.flatMap((one, i) => (estimates[i] === null ? [] : [{ ...one, gas: estimates[i]! }]))
    if (good.length === 0) return
    const isBatch = good.length > 1
    const sum = good.reduce((total, { gas }) => total + gas, 0n)
    // A batch cannot be estimated as a whole: it succeeds even when its tickets run out of gas.
    const gas = sum + (sum * (isBatch ? BATCH_MARGIN_PERCENT : MARGIN_PERCENT)) / 100n
    const [first] = good
    const mined = this.#transactions.submit(
      {
        purpose: `redeem ${good.map(({ id }) => id).join(' ')}`,
        to: this.#client.addresses.ticketBroker,
        data: isBatch ? batchCall(good.map(({ ticket }) => ticket)) : redeemCall(first!.ticket),
        gas: isBatch ? gas : this.#transactions.gasLimit || gas,
        maxCost: good.reduce((total, { maxCost }) => total + maxCost, 0n),
      },
      first!.signal,
    )
    for (const { result, ticket } of good) {
      this.#resultOf(mined, ticket, good.length).then(result.resolve, result.reject)
    }
  }

  /** The gas that redeeming this ticket alone takes now; null, and its result settled, when it cannot be redeemed. */
  async #estimate({ result, ticket }: Wanted, at: bigint): Promise<bigint | null> {
    const call = { from: this.#account, to: this.#client.addresses.ticketBroker, data: redeemCall(ticket) }
    try {
      return checkedGas(await this.#client.rpc.quantity('eth_estimateGas', [call, toQuantity(at)]))
    } catch (error) {
      if (error instanceof ChainError) result.resolve(notSent(error))
      else result.reject(error)
      return null
    }
  }

  /** The outcome of a transaction for one of its tickets; each ticket bears its share of the fee. */
  async #resultOf(
    transaction: Promise<MinedTransaction>,
    ticket: WinningTicket,
    tickets?: number,
  ): Promise<RedemptionResult> {
    try {
      const mined = await transaction
      await this.#client.noteOwn(mined.block)
      const { ticketBroker } = this.#client.addresses
      const redeemed = redemptionIn(mined.logs, ticketBroker, ticket)
      const share = tickets ?? Math.max(1, countRedemptions(mined.logs, ticketBroker))
      return {
        kind: 'mined',
        txHash: mined.hash,
        success: mined.success && redeemed !== null,
        paid: redeemed?.paid ?? 0n,
        fee: mined.fee / BigInt(share),
        block: mined.block,
      }
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      // In both cases it was sent, and an endpoint ahead of the others may show it mined.
      const isSent = error.code === 'transaction-timed-out' || error.code === 'nonce-taken'
      if (!isSent || !error.details.hash) return notSent(error)
      return { kind: 'timed-out', txHash: error.details.hash as Hex }
    }
  }
}

function notSent(error: ChainError): RedemptionResult {
  const why = error.code === 'insufficient-funds' ? 'no-ether' : 'refused'
  return { kind: 'not-sent', why, reason: revertReason(error) ?? error.message }
}

/** Call data of `redeemWinningTicket` (chain.md §3.2). */
function redeemCall(ticket: WinningTicket): Hex {
  return encodeFunctionData({
    abi: abis.TicketBroker,
    functionName: 'redeemWinningTicket',
    args: [onChain(ticket), formatHex(ticket.sig), ticket.recipientRand],
  })
}

/** Call data of `batchRedeemWinningTickets`, where a ticket that fails does not harm the others (contracts.md §10). */
function batchCall(tickets: readonly WinningTicket[]): Hex {
  return encodeFunctionData({
    abi: abis.TicketBroker,
    functionName: 'batchRedeemWinningTickets',
    args: [
      tickets.map(onChain),
      tickets.map(({ sig }) => formatHex(sig)),
      tickets.map(({ recipientRand }) => recipientRand),
    ],
  })
}

function onChain(ticket: WinningTicket) {
  return {
    recipient: ticket.recipient,
    sender: ticket.sender,
    faceValue: ticket.faceValue,
    winProb: ticket.winProb,
    senderNonce: BigInt(ticket.senderNonce),
    recipientRandHash: formatHex(ticket.recipientRandHash),
    auxData: formatHex(auxData(ticket.expirationParams)),
  }
}
