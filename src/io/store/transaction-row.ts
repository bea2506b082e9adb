import { z } from 'zod'
import type { StoredTransaction } from '../../domain/transaction.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'
import type { TransactionRow } from './tables.ts'

const ATTEMPTS = z.array(
  z.object({
    hash: z.string(),
    maxFeePerGas: z.string(),
    maxPriorityFeePerGas: z.string(),
    sentAtMs: z.number(),
    limit: z.string().optional(),
  }),
)

/** The row of a transaction. */
export function rowOfTransaction(transaction: StoredTransaction): TransactionRow {
  return {
    account: transaction.account,
    nonce: transaction.nonce,
    purpose: transaction.purpose,
    target: transaction.to,
    data: transaction.data,
    value: transaction.value.toString(),
    gas: transaction.gas.toString(),
    attempts: JSON.stringify(
      transaction.attempts.map((attempt) => ({
        ...attempt,
        maxFeePerGas: attempt.maxFeePerGas.toString(),
        maxPriorityFeePerGas: attempt.maxPriorityFeePerGas.toString(),
        limit: attempt.limit?.toString(),
      })),
    ),
    state: transaction.state,
  }
}

/** The transaction in a row. */
export function transactionOfRow(row: TransactionRow): StoredTransaction {
  return {
    account: row.account as Address,
    nonce: Number(row.nonce),
    purpose: row.purpose,
    to: row.target as Address,
    data: row.data as Hex,
    value: BigInt(row.value),
    gas: BigInt(row.gas),
    attempts: ATTEMPTS.parse(JSON.parse(row.attempts)).map((attempt) => ({
      hash: attempt.hash as Hex,
      maxFeePerGas: BigInt(attempt.maxFeePerGas),
      maxPriorityFeePerGas: BigInt(attempt.maxPriorityFeePerGas),
      sentAtMs: attempt.sentAtMs,
      ...(attempt.limit === undefined ? {} : { limit: BigInt(attempt.limit) }),
    })),
    state: row.state as StoredTransaction['state'],
  }
}
