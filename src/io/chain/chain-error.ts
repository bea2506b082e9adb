import { decodeErrorResult, parseAbi } from 'viem'
import type { Hex } from '../../lib/bytes.ts'
import { NodeError } from '../../lib/errors.ts'

/** The faults of the chain's endpoints and contracts. Callers decide by these codes, never by text. */
export type ChainFault =
  /** No endpoint answers; each one's reason is in the message. */
  | 'rpc-unreachable'
  /** An endpoint did not answer in time. */
  | 'rpc-timeout'
  /** An endpoint limits requests; nothing was done. */
  | 'rpc-limited'
  /** An endpoint answered with an error that says nothing about the request: another one may answer it. */
  | 'rpc-refused'
  /** An answer in an unexpected form. */
  | 'bad-answer'
  | 'wrong-chain'
  /** Two endpoints answer the same question differently. */
  | 'endpoints-differ'
  /** A contract refused; `details.reason` has its words. */
  | 'reverted'
  /** The chain rejects the request itself: invalid params, too little gas. */
  | 'rejected'
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
  /** A transaction was mined, and its contract refused it after all; `details.hash` has its hash. */
  | 'failed-on-chain'
  /** Another process of the cluster sends with this account. */
  | 'not-leading'
  /** The chain is from before EIP-1559. */
  | 'no-base-fee'
  | 'bad-endpoint'

/** An error of the chain, or of the way to it. */
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

/** Methods that execute something: only their errors tell of contracts and transactions. */
const EXECUTING = new Set(['eth_call', 'eth_estimateGas', 'eth_sendRawTransaction'])

/** Texts by which nodes and providers give their verdict on a call or a transaction; they share no codes. */
const VERDICTS: readonly (readonly [ChainFault, RegExp, string])[] = [
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
  [
    'rejected',
    /intrinsic gas|gas required exceeds|exceeds block gas limit|out of gas|invalid (opcode|jump|sender|signature|chain id)|stack (under|over)flow|nonce too high|higher than max fee|exceeds the configured cap|oversized data|(initcode|code) size|type not supported/i,
    'the chain rejects this transaction',
  ],
]

const INVALID_PARAMS = -32602

/** Codes of providers whose limit of requests or credits is reached. */
const LIMIT_CODES = new Set([429, -32005, -32007, -32012, -32029])
const LIMIT_TEXT =
  /rate.?limit|too many requests|request limit|(requests|calls|units) per (second|minute|day)|credits|quota|throughput|(capacity|request count) exceeded/i
/** The same code also says that too many logs were asked for, which waiting does not change. */
const AMBIGUOUS_LIMIT_CODE = -32005

/**
 * Turns an endpoint's error into ours. It is an answer only if it is a verdict on the request (`reverted`, `rejected`
 * and those about transactions); that the endpoint wants fewer requests is `rpc-limited`; all else is `rpc-refused`,
 * whatever its words, and may be answered elsewhere.
 */
export function translateRpcError(method: string, body: RpcErrorBody): ChainError {
  const text = body.message.slice(0, MAX_TEXT)
  if (isLimit(method, body.code, text)) {
    return new ChainError('rpc-limited', `the RPC limits requests: ${text}`, { details: { method } })
  }
  if (EXECUTING.has(method)) {
    const data = revertData(body.data)
    if (data !== null || body.code === 3 || /revert/i.test(text)) {
      const reason = (data === null ? null : decodeReason(data)) ?? reasonInText(text)
      return new ChainError('reverted', `the contract refused: ${reason}`, { details: { reason, method } })
    }
    for (const [fault, pattern, sentence] of VERDICTS) {
      if (pattern.test(text)) return new ChainError(fault, `${sentence} (${text})`, { details: { method } })
    }
  }
  // Providers also refuse ranges of logs with this code, and replicas that lag blocks they do not know yet.
  if (body.code === INVALID_PARAMS && method !== 'eth_getLogs' && !/block|header|state/i.test(text)) {
    return new ChainError('rejected', `the RPC rejects ${method}: ${text}`, { details: { method } })
  }
  return new ChainError('rpc-refused', `the RPC refused ${method}: ${text}`, {
    details: { method, rpcCode: body.code, text },
  })
}

/** Why the contract refused; null for any other error. */
export function revertReason(error: unknown): string | null {
  return error instanceof ChainError && error.code === 'reverted' ? String(error.details.reason) : null
}

/** Whether the endpoint does not know the method at all, which asking again does not change. */
export function isUnknownMethod(error: ChainError): boolean {
  const { rpcCode, text } = error.details
  return (
    error.code === 'rpc-refused' &&
    (rpcCode === -32601 ||
      rpcCode === -32004 ||
      /method.*not (found|supported|available|allowed|implemented)|unsupported method|unknown method/i.test(
        String(text),
      ))
  )
}

const MAX_TEXT = 500

function isLimit(method: string, code: number | undefined, text: string): boolean {
  if (LIMIT_TEXT.test(text)) return true
  if (code === AMBIGUOUS_LIMIT_CODE && method === 'eth_getLogs') return false
  return code !== undefined && LIMIT_CODES.has(code)
}

function revertData(data: unknown): Hex | null {
  if (typeof data === 'string') {
    const bytes = data.replace(/^Reverted /, '')
    return /^0x([0-9a-f]{2})+$/i.test(bytes) ? (bytes as Hex) : null
  }
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
