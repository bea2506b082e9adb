import type { LedgerDay, LedgerLine, ListedTicket } from './answers.ts'

type Value = string | number | bigint | null

/** The columns of a table, each with its name and what it has of a row. */
export type Columns<Row> = readonly (readonly [name: string, of: (row: Row) => Value])[]

/** A table as CSV (RFC 4180): a line of names, then a line for each row. */
export function csvOf<Row>(columns: Columns<Row>, rows: readonly Row[]): string {
  const lines = [columns.map(([name]) => name), ...rows.map((row) => columns.map(([, of]) => of(row)))]
  return lines.map((values) => `${values.map(field).join(',')}\r\n`).join('')
}

function field(value: Value): string {
  // A spreadsheet would run a text that begins like a formula, and peers choose some of them.
  const isFormula = typeof value === 'string' && /^[=+\-@\t]/.test(value)
  const text = value === null ? '' : `${isFormula ? "'" : ''}${value}`
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const time = (ms: number) => new Date(ms).toISOString()

/** Tickets. */
export const TICKET_COLUMNS: Columns<ListedTicket> = [
  ['ticket', ({ ticket }) => ticket],
  ['gateway', ({ sender }) => sender],
  ['orchestrator', ({ recipient }) => recipient],
  ['state', ({ state }) => state],
  ['reason', ({ reason }) => reason],
  ['face_value_wei', ({ faceValueWei }) => faceValueWei],
  ['expected_wei', ({ expectedWei }) => expectedWei],
  ['received_at', ({ receivedAtMs }) => time(receivedAtMs)],
  ['updated_at', ({ updatedAtMs }) => time(updatedAtMs)],
  ['creation_round', ({ creationRound }) => creationRound],
  ['expiry_l1_block', ({ expiryBlock }) => expiryBlock],
  ['transaction', ({ txHash }) => txHash],
  ['block', ({ block }) => block],
  ['paid_wei', ({ paidWei }) => paidWei],
  ['gas_wei', ({ feeWei }) => feeWei],
  ['session', ({ sessionId }) => sessionId],
]

/** The book by gateway and day. The gateway is empty for what is not known by gateway. */
export const LINE_COLUMNS: Columns<LedgerLine> = [
  ['day', ({ day }) => day],
  ['gateway', ({ sender }) => sender],
  ['tickets_received', ({ ticketsReceived }) => ticketsReceived],
  ['tickets_won', ({ ticketsWon }) => ticketsWon],
  ['tickets_handed_in', ({ ticketsHandedIn }) => ticketsHandedIn],
  ['tickets_redeemed', ({ ticketsRedeemed }) => ticketsRedeemed],
  ['expected_wei', ({ expectedWei }) => expectedWei],
  ['won_wei', ({ wonWei }) => wonWei],
  ['luck_low_wei', ({ lowWei }) => lowWei],
  ['luck_high_wei', ({ highWei }) => highWei],
  ['handed_in_wei', ({ handedInWei }) => handedInWei],
  ['redeemed_face_wei', ({ redeemedFaceWei }) => redeemedFaceWei],
  ['fees_wei', ({ feesWei }) => feesWei],
  ['redeem_gas_wei', ({ redeemGasWei }) => redeemGasWei],
  // Of these 2^256 − 1 make a wei: in them the expected value is exact.
  ['expected_parts', ({ receivedParts }) => receivedParts],
]

/** The book by day. */
export const DAY_COLUMNS: Columns<LedgerDay> = [
  ['day', ({ day }) => day],
  ['expected_wei', ({ receivedWei }) => receivedWei],
  ['won_wei', ({ wonWei }) => wonWei],
  ['handed_in_wei', ({ handedInWei }) => handedInWei],
  ['fees_wei', ({ feesWei }) => feesWei],
  ['redeem_gas_wei', ({ redeemGasWei }) => redeemGasWei],
  ['reward_gas_wei', ({ rewardGasWei }) => rewardGasWei],
  ['other_gas_wei', ({ otherGasWei }) => otherGasWei],
  ['net_wei', ({ netWei }) => netWei],
]
