import { encodeFunctionData, type Log, parseEventLogs } from 'viem'
import { auxData, ticketHash, type WinningTicket } from '../../domain/ticket.ts'
import { formatHex, type Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { RedemptionChain, RedemptionResult, Simulation } from '../../services/redeemer.ts'
import { ChainError, revertReason } from './chain-error.ts'
import type { ChainClient } from './client.ts'
import { abis } from './contracts.ts'
import type { RawLog } from './raw-log.ts'
import { toQuantity } from './rpc.ts'
import type { MinedTransaction } from './transaction-request.ts'
import type { Transactions } from './transactions.ts'

/** Redeems winning tickets at the TicketBroker (contracts.md §10). */
export class TicketRedemption implements RedemptionChain {
  readonly #client: ChainClient
  readonly #transactions: Transactions
  readonly #account: Address

  constructor(needs: { client: ChainClient; transactions: Transactions; account: Address }) {
    this.#client = needs.client
    this.#transactions = needs.transactions
    this.#account = needs.account
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
   * Sends the ticket, once however often it is called, and waits for the receipt. A `timed-out` one is still watched:
   * calling again goes on waiting for it. An aborted signal throws.
   */
  async redeem(ticket: WinningTicket, signal: AbortSignal): Promise<RedemptionResult> {
    const request = {
      purpose: `redeem ${formatHex(ticketHash(ticket))}`,
      to: this.#client.addresses.ticketBroker,
      data: redeemCall(ticket),
    }
    let mined: MinedTransaction
    try {
      mined = await this.#transactions.submit(request, signal)
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      if (error.code === 'transaction-timed-out') {
        return { kind: 'timed-out', txHash: error.details.hash as Hex }
      }
      return { kind: 'not-sent', reason: revertReason(error) ?? error.message }
    }
    return this.#described(ticket, mined)
  }

  #described(ticket: WinningTicket, mined: MinedTransaction): RedemptionResult {
    return {
      kind: 'mined',
      txHash: mined.hash,
      success: mined.success,
      paid: mined.logs.reduce((sum, log) => sum + this.#transferIn(log, ticket), 0n),
      fee: mined.fee,
      block: mined.block,
    }
  }

  #transferIn(log: RawLog, ticket: WinningTicket): bigint {
    if (log.address !== this.#client.addresses.ticketBroker) return 0n
    const [event] = parseEventLogs({
      abi: abis.TicketBroker,
      eventName: 'WinningTicketTransfer',
      args: { sender: ticket.sender, recipient: ticket.recipient },
      logs: [{ data: log.data, topics: log.topics }] as unknown as Log[],
    })
    return event?.args.amount ?? 0n
  }
}

/** Call data of `redeemWinningTicket` (chain.md §3.2). */
function redeemCall(ticket: WinningTicket): Hex {
  return encodeFunctionData({
    abi: abis.TicketBroker,
    functionName: 'redeemWinningTicket',
    args: [
      {
        recipient: ticket.recipient,
        sender: ticket.sender,
        faceValue: ticket.faceValue,
        winProb: ticket.winProb,
        senderNonce: BigInt(ticket.senderNonce),
        recipientRandHash: formatHex(ticket.recipientRandHash),
        auxData: formatHex(auxData(ticket.expirationParams)),
      },
      formatHex(ticket.sig),
      ticket.recipientRand,
    ],
  })
}
