import { parseTransaction, recoverTransactionAddress, type TransactionSerializedEIP1559 } from 'viem'
import { formatHex, type Hex, parseHex } from '../../lib/bytes.ts'
import { type Address, keccak256, parseAddress } from '../../lib/crypto.ts'
import { ChainError } from './chain-error.ts'
import { receiptSchema } from './raw-log.ts'
import type { Rpc } from './rpc.ts'

/** A signed transaction, read from its bytes. Amounts in wei. */
export interface SignedTransaction {
  readonly hash: Hex
  readonly from: Address
  readonly chainId: bigint
  readonly nonce: number
  readonly to: Address
  readonly data: Hex
  readonly value: bigint
  readonly gas: bigint
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/** What became of a signed transaction. */
export type SignedState =
  /** No endpoint knows it. */
  | { readonly state: 'unknown' }
  /** It waits to be mined. */
  | { readonly state: 'pending' }
  | { readonly state: 'mined' | 'failed'; readonly block: bigint; readonly feeWei: bigint }
  /** Another transaction of the account has its nonce: it can no longer be mined. */
  | { readonly state: 'overtaken' }

/** The longest that is read; an operator's longest call is a vote with its reason. */
const MAX_RAW_CHARS = 12_002
/** EIP-1559. */
const TYPE = '0x02'

/**
 * Reads a signed transaction of the kind that the node makes, EIP-1559 without an access list. Throws ChainError `rejected`
 * for any other bytes.
 */
export async function readSigned(raw: Hex): Promise<SignedTransaction> {
  if (raw.length > MAX_RAW_CHARS || !raw.startsWith(TYPE) || !/^0x([0-9a-f]{2})+$/.test(raw))
    throw unreadable()
  const serialized = raw as TransactionSerializedEIP1559
  try {
    const read = parseTransaction(serialized)
    const { accessList = [], chainId, data = '0x', gas = 0n, nonce = 0, to, value = 0n } = read
    const { maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = read
    if (to === null || to === undefined || accessList.length > 0) throw unreadable()
    const from = await recoverTransactionAddress({ serializedTransaction: serialized })
    return {
      hash: formatHex(keccak256(parseHex(raw))),
      ...{ from: parseAddress(from), to: parseAddress(to) },
      ...{ chainId: BigInt(chainId), nonce, data, value, gas, maxFeePerGas, maxPriorityFeePerGas },
    }
  } catch (error) {
    throw error instanceof ChainError ? error : unreadable(error)
  }
}

/** Sends transactions that were signed elsewhere, and finds out what became of them. */
export class SignedTransactions {
  readonly #rpc: Rpc

  constructor(needs: { readonly rpc: Rpc }) {
    this.#rpc = needs.rpc
  }

  /** Sends one; one that the pool or the chain has already is not sent again. Throws ChainError. */
  async send(raw: Hex, signal: AbortSignal): Promise<void> {
    const signed = await readSigned(raw)
    const { state } = await this.look(signed, signal)
    if (state === 'pending' || state === 'mined' || state === 'failed') return
    if (state === 'overtaken') {
      throw new ChainError('nonce-taken', `another transaction of ${signed.from} used nonce ${signed.nonce}`)
    }
    try {
      await this.#rpc.request('eth_sendRawTransaction', [raw], signal)
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'already-known') throw error
    }
  }

  /** What became of one. Throws ChainError where the chain does not say. */
  async look(
    { from, hash, nonce }: Pick<SignedTransaction, 'from' | 'hash' | 'nonce'>,
    signal: AbortSignal,
  ): Promise<SignedState> {
    const mined = await this.#receipt(hash, signal)
    if (mined) return mined
    if ((await this.#rpc.request('eth_getTransactionByHash', [hash], signal)) !== null)
      return { state: 'pending' }
    const used = await this.#rpc.quantity('eth_getTransactionCount', [from, 'latest'], signal)
    // It may have been mined meanwhile.
    return used > BigInt(nonce)
      ? ((await this.#receipt(hash, signal)) ?? { state: 'overtaken' })
      : { state: 'unknown' }
  }

  async #receipt(hash: Hex, signal: AbortSignal): Promise<SignedState | null> {
    const raw = await this.#rpc.request('eth_getTransactionReceipt', [hash], signal)
    if (raw === null) return null
    const read = receiptSchema.safeParse(raw)
    if (!read.success) throw new ChainError('bad-answer', `the RPC's receipt of ${hash} is malformed`)
    const { blockNumber: block, effectiveGasPrice, gasUsed, status } = read.data
    return { state: status ? 'mined' : 'failed', block, feeWei: gasUsed * effectiveGasPrice }
  }
}

function unreadable(cause?: unknown): ChainError {
  return new ChainError('rejected', 'these bytes are no signed EIP-1559 transaction of one call', { cause })
}
