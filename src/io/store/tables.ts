import type { Generated } from 'kysely'

/**
 * The tables in both databases. Wei and fractions are text, bytes are hexadecimal text, times are milliseconds since
 * the Unix epoch, blocks and rounds are integers (which PostgreSQL returns as text).
 */
export interface Tables {
  kv: { key: string; value: string }
  secrets: {
    purpose: string
    version: number
    bytes: string
    created_at: Integer
    retired_at: Integer | null
  }
  tickets: TicketRow
  ticket_totals: {
    node: string
    state: string
    reason: string
    count: Integer
    face_value: string
    paid: string
  }
  nonces: { rand_hash: string; nonce: Integer; expiration_block: Integer }
  revealed_rands: { rand_hash: string; expiration_block: Integer }
  balances: {
    sender: string
    session_id: string
    amount: string
    price: string | null
    updated_at: Integer
  }
  transactions: TransactionRow
  money: {
    node: string
    period: 'day' | 'round' | 'ever'
    /** Days since the epoch, or the round; 0 for all time. */
    at: Integer
    tickets_received: Integer
    tickets_won: Integer
    tickets_handed_in: Integer
    received: string
    won: string
    handed_in: string
    redeemed: string
    redeem_gas: string
    reward_gas: string
    other_gas: string
  }
  ledger: LedgerRow
  ticket_story: StoryRow
  /** The transactions that were to redeem a ticket. */
  ticket_transactions: { hash: string; account: string; nonce: Integer }
  /** What became of the reward of each round; `reward` is null where the round ended without it. */
  rewards: { round: Integer; reward: string | null; fee: string | null; tx_hash: string | null; at: Integer }
  members: MemberRow
  leases: LeaseRow
  /** What an operator set at run time and made to outlast a restart. */
  control_settings: { node: string; name: string; value: string; changed_at: Integer }
  /** The record of what operators asked a node for; only added to. */
  control_changes: {
    node: string
    seq: Integer
    at: Integer
    origin: string
    allowed_by: string
    path: string
    /** JSON. */
    params: string
    status: number
    result: string
  }
}

/** A whole number as written (a number or a bigint) and as read (PostgreSQL: text). */
export type Integer = number | bigint | string

/** A process of a cluster, and until when it counts as alive by the database's clock. */
export interface MemberRow {
  node: string
  instance: string
  account: string
  /** With commas between. */
  roles: string
  version: string
  address: string
  fingerprint: string
  /** JSON. */
  work: string
  lease_end: Integer
}

/** Who leads, and until when by the database's clock. */
export interface LeaseRow {
  name: string
  instance: string
  node: string
  /** Counts the holders. */
  epoch: Integer
  rank: number
  /** 1 while the holder's session is there, whose end shows that the holder is gone. */
  watched: number
  lease_end: Integer
}

/** A winning ticket and the state of its redemption. */
export interface TicketRow {
  hash: string
  sender: string
  recipient: string
  face_value: string
  win_prob: string
  sender_nonce: Integer
  recipient_rand: string
  recipient_rand_hash: string
  sig: string
  creation_round: Integer
  creation_round_block_hash: string
  params_expiration_block: Integer
  received_at: Integer
  state: string
  reason: Generated<string>
  tx_hash: string | null
  paid: string | null
  fee: string | null
  block: Integer | null
  updated_at: Integer
  /** Where what it was paid is counted; null while nothing is. */
  booked_day: Integer | null
  booked_round: Integer | null
  /** The session that it paid for, how it came, and the node that took it; null where that is not known. */
  session_id: Generated<string | null>
  source: Generated<string | null>
  received_by: Generated<string | null>
}

/** A fact in a ticket's life: the state that it took, and what came with it. Only added to. */
export interface StoryRow {
  hash: string
  seq: Integer
  at: Integer
  /** Who wrote it down. */
  node: string
  state: string
  reason: string
  tx_hash: string | null
  block: Integer | null
  paid: string | null
  fee: string | null
  redeemer: string | null
  says: string | null
}

/** What one gateway's tickets came to on one day, as far as one node wrote it down. */
export interface LedgerRow {
  node: string
  day: Integer
  sender: string
  tickets_received: Integer
  tickets_won: Integer
  tickets_handed_in: Integer
  tickets_redeemed: Integer
  received: string
  variance: string
  won: string
  handed_in: string
  redeemed_face: string
  redeemed: string
  redeem_gas: string
}

/** A transaction of an account, with all its attempts. */
export interface TransactionRow {
  account: string
  nonce: Integer
  purpose: string
  target: string
  data: string
  value: string
  gas: string
  /** JSON. */
  attempts: string
  state: string
  /** Wei paid for its gas; null until it is mined. */
  fee: string | null
  /** Where its fee is counted; null while it is not. */
  booked_day: Integer | null
  booked_round: Integer | null
}
