/*
 * The third make of the hot path of a store that several nodes share: the second one, which also writes down what each winning
 * ticket paid for, and counts what each gateway paid by day. Under the same locks, so that nodes may call any of them.
 */

import { SETTLE_BATCH } from './settle-batch.ts'
import { addedWinners } from './settle-shared.ts'

const ORIGIN = ['session_id', 'source', 'received_by']

/** Writes down winning tickets, with where they came from; the hashes of those that are new. */
const WRITE_WINNERS = `
  create function write_winners_2(p_winners jsonb) returns jsonb language plpgsql as $$
  declare v_added jsonb;
  begin
    ${addedWinners('p_winners', ORIGIN)}
    select coalesce(jsonb_agg(a.hash), '[]') into v_added from added a;
    return v_added;
  end $$`

/** Counts the payments of a batch that were recorded, by day and gateway, in the rows of their node. */
const COUNT_SENDERS = `
  create function count_senders_1(p_node text, p_items jsonb, p_answers jsonb[]) returns void
  language plpgsql as $$
  begin
    insert into ledger (node, day, sender, tickets_received, tickets_won, tickets_handed_in, tickets_redeemed,
        received, variance, won, handed_in, redeemed_face, redeemed, redeem_gas)
      select p_node, x.day, x.sender, sum(x.tickets), sum(x.wins), 0, 0, sum(x.received)::text,
        sum(x.variance)::text, sum(x.won)::text, '0', '0', '0', '0'
      from (
        select (t.i->'payment'->>'day')::bigint as day, t.i->>'sender' as sender,
          jsonb_array_length(t.i->'payment'->'nonces') as tickets,
          jsonb_array_length(p_answers[t.n]->'winners') as wins,
          (t.i->'payment'->>'received')::numeric as received,
          coalesce((t.i->'payment'->>'variance')::numeric, 0) as variance,
          (select coalesce(sum((w->>'face_value')::numeric), 0)
            from jsonb_array_elements(t.i->'payment'->'winners') w
            where p_answers[t.n]->'winners' ? (w->>'hash')) as won
        from jsonb_array_elements(p_items) with ordinality as t(i, n)
        where t.i ? 'payment' and jsonb_typeof(p_answers[t.n]->'winners') = 'array') x
      group by x.day, x.sender order by 2, 3
      on conflict (node, day, sender) do update set
        tickets_received = ledger.tickets_received + excluded.tickets_received,
        tickets_won = ledger.tickets_won + excluded.tickets_won,
        received = (ledger.received::numeric + excluded.received::numeric)::text,
        variance = (ledger.variance::numeric + excluded.variance::numeric)::text,
        won = (ledger.won::numeric + excluded.won::numeric)::text;
  end $$`

const END = '    v_answer := to_jsonb(v_answers)::text;'

/** Settles a batch as `settle_segments_2` does, and counts its payments by gateway. */
const SETTLE = SETTLE_BATCH.replace('settle_segments_2', 'settle_segments_3')
  .replace('write_winners_1', 'write_winners_2')
  .replace(END, `    if v_pays then perform count_senders_1(p_node, p_items, v_answers); end if;\n${END}`)

/** Makes `settle_segments_3` and what only it calls; only PostgreSQL has them. */
export const SETTLE_LEDGER: readonly string[] = [WRITE_WINNERS, COUNT_SENDERS, SETTLE]
