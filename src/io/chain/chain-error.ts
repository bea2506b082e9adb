import { decodeErrorResult, parseAbi } from 'viem'
import type { Hex } from '../../lib/bytes.ts'
import { NodeError } from '../../lib/errors.ts'

/** Everything that can go wrong at the chain edge. Callers decide by these, never by text. */
export type ChainFault =
  /** No endpoint answers; each one's reason is in the message. */
  | 'rpc-unreachable'
  /** An endpoint did not answer in time. */
  | 'rpc-timeout'
  /** An endpoint answered with an error that is no verdict about a contract or transaction. */
  | 'rpc-refused'
  /** An answer that is not what was asked for. */
  | 'bad-answer'
  | 'wrong-chain'
  /** Two endpoints tell different things of the same question. */
  | 'endpoints-differ'
  /** A contract refused; `details.reason` has its words. */
  | 'reverted'
  | 'no-contract'
  | 'gas-price-too-high'
  | 'insufficient-funds'
  | 'nonce-too-low'
  | 'already-known'
  | 'replacement-underpriced'
  | 'fee-too-low'
  /** A transaction's nonce was used by another transaction of the same account. */
  | 'nonce-taken'
  /** No receipt within the time given; the transaction stays watched, `details.hash` has its newest hash. */
  | 'transaction-timed-out'
  /** The chain is from before EIP-1559. */
  | 'no-base-fee'
  | 'bad-endpoint'

/** An error of the chain edge. */
export class ChainError extends NodeError<ChainFault> {
  override name = 'ChainError'
}

/** An error as JSON-RPC carries it. */
export interface RpcErrorBody {
  readonly code?: number | undefined
  readonly message: string
  readonly data?: unknown
}

const STANDARD_ERRORS = parseAbi(['error Error(string)', 'error Panic(uint256)'])

/** Texts by which nodes and providers say each thing; they share no codes. */
const BY_TEXT: readonly (readonly [ChainFault, RegExp, string])[] = [
  ['nonce-too-low', /nonce too low|nonce has already been used/i, 'the nonce was used already'],
  [
    'replacement-underpriced',
    /replacement transaction underpriced|replacement fee too low/i,
    'the replacement pays too little more',
  ],
  ['already-known', /already known|already imported|known transaction/i, 'the transaction is known already'],
  [
    'insufficient-funds',
    /insufficient funds|insufficient balance|exceeds the balance/i,
    'the account has too little ether for this transaction: send it some',
  ],
  [
    'fee-too-low',
    /max fee per gas less than block base fee|fee cap less than block|transaction underpriced|less than the block's base fee/i,
    'the fee offered is below what the chain asks for',
  ],
]

/** Turns an endpoint's error into ours. A revert keeps the contract's reason; everything else keeps the endpoint's words. */
export function translateRpcError(method: string, body: RpcErrorBody): ChainError {
  const text = body.message.slice(0, MAX_TEXT)
  const data = revertData(body.data)
  if (data !== null || body.code === 3 || /revert/i.test(text)) {
    const reason = (data === null ? null : decodeReason(data)) ?? reasonInText(text)
    return new ChainError('reverted', `the contract refused: ${reason}`, { details: { reason, method } })
  }
  for (const [fault, pattern, sentence] of BY_TEXT) {
    if (pattern.test(text)) return new ChainError(fault, `${sentence} (${text})`, { details: { method } })
  }
  return new ChainError('rpc-refused', `the RPC refused ${method}: ${text}`, {
    details: { method, rpcCode: body.code, text },
  })
}

/** Why the contract refused, if that is what the error says. */
export function revertReason(error: unknown): string | null {
  return error instanceof ChainError && error.code === 'reverted' ? String(error.details.reason) : null
}

const MAX_TEXT = 500

function revertData(data: unknown): Hex | null {
  if (typeof data === 'string') return /^0x([0-9a-f]{2})+$/i.test(data) ? (data as Hex) : null
  // Some endpoints wrap it once more.
  if (typeof data === 'object' && data !== null && 'data' in data) return revertData(data.data)
  return null
}

function decodeReason(data: Hex): string | null {
  try {
    const decoded = decodeErrorResult({ abi: STANDARD_ERRORS, data })
    if (decoded.errorName === 'Error') return String(decoded.args[0]).slice(0, MAX_TEXT)
    return `Panic(0x${decoded.args[0].toString(16)})`
  } catch {
    return null
  }
}

function reasonInText(text: string): string {
  const match = /(?:execution reverted|reverted with reason string)(?:: |,? )(.+)$/i.exec(text)
  return match?.[1] ?? (text || 'without a reason')
}
