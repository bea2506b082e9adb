import type { Kysely } from 'kysely'
import { SETTLE_BATCH } from './settle-batch.ts'
import { BALANCE_INDEXES, SETTLE_FUNCTIONS, SETTLE_TABLES } from './settle-function.ts'
import { SETTLE_LEDGER } from './settle-ledger.ts'
import { SETTLE_PARTS } from './settle-parts.ts'
import type { Tables } from './tables.ts'
import { fillTicketTransactions } from './ticket-story.ts'
import { fillTotals } from './ticket-totals.ts'

/**
 * One step of the schema. A released step is never changed; a later one corrects it. From version 6 on a step only adds:
 * tables, columns that may be left out, indexes, functions with new names. So a node of the release before goes on working
 * beside those that have been upgraded.
 */
export interface Migration {
  readonly version: number
  /**
   * The oldest version of the schema whose code works on this one: the last version of the release before. Absent: this one.
   */
  readonly oldest?: number
  readonly statements: readonly string[]
  /** For PostgreSQL only, after the others. */
  readonly postgres?: readonly string[]
  /** For SQLite only, after the others. */
  readonly sqlite?: readonly string[]
  /** Runs after the statements, for what they cannot do. */
  fill?(tx: Kysely<Tables>): Promise<void>
}

/** All steps in order, in plain SQL that both SQLite and PostgreSQL accept, except where it says so. */
export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    statements: [
      `create table kv (key text primary key, value text not null)`,
      `create table secrets (
        purpose text not null, version integer not null, bytes text not null,
        created_at bigint not null, retired_at bigint,
        primary key (purpose, version))`,
      `create table tickets (
        hash text primary key, sender text not null, recipient text not null,
        face_value text not null, win_prob text not null, sender_nonce bigint not null,
        recipient_rand text not null, recipient_rand_hash text not null, sig text not null,
        creation_round bigint not null, creation_round_block_hash text not null,
        params_expiration_block bigint not null, received_at bigint not null,
        state text not null, reason text not null default '', tx_hash text, paid text, fee text,
        block bigint, updated_at bigint not null)`,
      `create index tickets_by_state on tickets (state, block)`,
      `create table nonces (
        rand_hash text not null, nonce bigint not null, expiration_block bigint not null,
        primary key (rand_hash, nonce))`,
      `create index nonces_by_expiration on nonces (expiration_block)`,
      `create table revealed_rands (rand_hash text primary key, expiration_block bigint not null)`,
      `create table balances (
        sender text not null, session_id text not null, amount text not null, price text,
        updated_at bigint not null,
        primary key (sender, session_id))`,
      `create index balances_by_age on balances (updated_at)`,
      `create table transactions (
        account text not null, nonce bigint not null, purpose text not null, target text not null,
        data text not null, value text not null, gas text not null, attempts text not null,
        state text not null,
        primary key (account, nonce))`,
      `create index transactions_by_state on transactions (account, state)`,
      `create table orchestrators (
        address text primary key, service_uri text not null, stake text not null,
        activation_round text not null, deactivation_round text not null, updated_at bigint not null)`,
    ],
  },
  {
    version: 2,
    statements: [
      `create table ticket_totals (
        node text not null, state text not null, reason text not null,
        count bigint not null, face_value text not null, paid text not null,
        primary key (node, state, reason))`,
    ],
    fill: fillTotals,
  },
  {
    version: 3,
    statements: [`create index tickets_by_state_and_hash on tickets (state, hash)`],
  },
  {
    version: 4,
    statements: [`drop table if exists orchestrators`],
  },
  {
    // What earlier versions received is not known: all amounts are counted from here on, so that they can be compared.
    version: 5,
    statements: [
      `create table money (
        node text not null, period text not null, at bigint not null,
        tickets_received bigint not null, tickets_won bigint not null, tickets_handed_in bigint not null,
        received text not null, won text not null, handed_in text not null, redeemed text not null,
        redeem_gas text not null, reward_gas text not null, other_gas text not null,
        primary key (node, period, at))`,
      `alter table tickets add column booked_day bigint`,
      `alter table tickets add column booked_round bigint`,
      `alter table transactions add column fee text`,
      `alter table transactions add column booked_day bigint`,
      `alter table transactions add column booked_round bigint`,
    ],
  },
  {
    version: 6,
    statements: [`alter table migrations add column oldest integer`],
    postgres: [...SETTLE_TABLES, ...SETTLE_FUNCTIONS],
  },
  {
    version: 7,
    oldest: 6,
    statements: [
      `create table members (
        node text primary key, instance text not null, account text not null, roles text not null,
        version text not null, address text not null, fingerprint text not null, work text not null,
        lease_end bigint not null)`,
    ],
  },
  {
    version: 8,
    oldest: 6,
    statements: [
      `create table leases (
        name text primary key, instance text not null, node text not null, epoch bigint not null,
        rank integer not null, watched integer not null, lease_end bigint not null)`,
    ],
  },
  {
    version: 9,
    oldest: 6,
    statements: [],
    postgres: [...SETTLE_PARTS, SETTLE_BATCH],
  },
  {
    version: 10,
    oldest: 6,
    statements: [
      `create table control_settings (
        node text not null, name text not null, value text not null, changed_at bigint not null,
        primary key (node, name))`,
      `create table control_changes (
        node text not null, seq bigint not null, at bigint not null, origin text not null,
        allowed_by text not null, path text not null, params text not null, status integer not null,
        result text not null,
        primary key (node, seq))`,
    ],
  },
  {
    version: 11,
    oldest: 6,
    statements: [
      `alter table tickets add column session_id text`,
      `alter table tickets add column source text`,
      `alter table tickets add column received_by text`,
      `create index tickets_by_time on tickets (received_at, hash)`,
      // What filters look at is in the index, so that only rows that fit are read.
      `create index tickets_by_state_and_time on tickets (
        state, received_at, hash, creation_round, reason, sender)`,
      `create index tickets_by_sender_and_time on tickets (sender, received_at, hash)`,
      `create table ticket_story (
        hash text not null, seq bigint not null, at bigint not null, node text not null,
        state text not null, reason text not null, tx_hash text, block bigint, paid text, fee text,
        redeemer text, says text,
        primary key (hash, seq))`,
      `create table ticket_transactions (
        hash text not null, account text not null, nonce bigint not null,
        primary key (hash, account, nonce))`,
      `create table ledger (
        node text not null, day bigint not null, sender text not null,
        tickets_received bigint not null, tickets_won bigint not null, tickets_handed_in bigint not null,
        tickets_redeemed bigint not null, received text not null, variance text not null, won text not null,
        handed_in text not null, redeemed_face text not null, redeemed text not null,
        redeem_gas text not null,
        primary key (node, day, sender))`,
      `create index ledger_by_day on ledger (day, sender)`,
      `create index transactions_by_day on transactions (account, booked_day, fee)`,
    ],
    postgres: SETTLE_LEDGER,
    fill: fillTicketTransactions,
  },
  {
    version: 12,
    oldest: 6,
    statements: [
      `create table rewards (
        round bigint primary key, reward text, fee text, tx_hash text, at bigint not null)`,
    ],
  },
  {
    version: 13,
    oldest: 6,
    statements: [],
    // A segment looks at the debts and the idle credit of its sender, not at all of its sessions.
    sqlite: BALANCE_INDEXES,
  },
]
