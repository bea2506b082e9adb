/*
 * The hot path of a store that several nodes share: one call of `settle_segments_1` records the payments that came at the
 * same moment, sets the fees of their segments aside, and charges for segments that ended. Fractions are exact: `num/den` as
 * text, which PostgreSQL computes with as numeric. A change makes a function with another name, so that a node of the
 * version before goes on calling its own.
 */

import { addedWinners, ENTER_BATCH, LEAVE_BATCH, useNonces } from './settle-shared.ts'

/** The debts of a sender, and its sessions with debts or credit by age. */
export const BALANCE_INDEXES: readonly string[] = [
  `create index balances_owing on balances (sender) where amount like '-%'`,
  `create index balances_left on balances (sender, updated_at) where amount <> '0'`,
]

/** What the function keeps: fees set aside, and the last batch of each process that calls it. */
export const SETTLE_TABLES: readonly string[] = [
  `create table holds (
    sender text not null, session_id text not null, segment text not null, holder text not null,
    fee text not null, overrun text not null, ends_at bigint not null,
    primary key (sender, session_id, segment, holder))`,
  `create index holds_by_end on holds (ends_at)`,
  `create table writers (
    writer text primary key, seq bigint not null, answer text not null, updated_at bigint not null)`,
  ...BALANCE_INDEXES,
]

/** Numerator and denominator of a fraction, sums, and rounding. */
const FRACTIONS: readonly string[] = [
  `create function fraction_num_1(a text) returns numeric language sql immutable
   return split_part(a, '/', 1)::numeric`,
  `create function fraction_den_1(a text) returns numeric language sql immutable
   return coalesce(nullif(split_part(a, '/', 2), ''), '1')::numeric`,
  `create function fraction_ceil_1(a text) returns numeric language sql immutable as $$
     select div(n, d) + case when n > 0 and n % d <> 0 then 1 else 0 end
     from (select fraction_num_1(a) as n, fraction_den_1(a) as d) f
   $$`,
  `create function fraction_text_1(n numeric, d numeric) returns text language plpgsql immutable as $$
   declare g numeric;
   begin
     if n % d = 0 then return div(n, d)::text; end if;
     -- Sums keep the denominator of their parts, which saves this; it is bounded all the same.
     if d > 1e80 then
       g := gcd(n, d);
       return div(n, g)::text || '/' || div(d, g)::text;
     end if;
     return n::text || '/' || d::text;
   end $$`,
  `create function fraction_add_1(a text, b text, sign integer) returns text language plpgsql immutable as $$
   declare
     an numeric := fraction_num_1(a); ad numeric := fraction_den_1(a);
     bn numeric := fraction_num_1(b) * sign; bd numeric := fraction_den_1(b);
     g numeric;
   begin
     if ad = bd then return fraction_text_1(an + bn, ad); end if;
     g := case when ad % bd = 0 then bd when bd % ad = 0 then ad else gcd(ad, bd) end;
     return fraction_text_1(an * div(bd, g) + bn * div(ad, g), div(ad, g) * bd);
   end $$`,
]

/** The credit in a sender's idle sessions less their debts, taken out of them; 0 and nothing taken if debts are larger. */
const TAKE_LEFTOVERS = `
  create function take_leftovers_1(
    p_sender text, p_session text, p_idle bigint, p_now bigint, out amount numeric, out price text
  ) language plpgsql as $$
  declare v_row record;
  begin
    amount := 0;
    for v_row in
      select b.session_id, b.amount, b.price from balances b
      where b.sender = p_sender and b.session_id <> p_session and b.amount <> '0'
        and (b.session_id = '' or b.updated_at <= p_idle)
        and not exists (select 1 from holds h
          where h.sender = b.sender and h.session_id = b.session_id and h.ends_at > p_now)
      order by b.session_id for update of b
    loop
      amount := amount + fraction_ceil_1(v_row.amount);
      if v_row.amount not like '-%' and v_row.price is not null
        and (price is null or fraction_add_1(v_row.price, price, -1) not like '-%') then
        price := v_row.price;
      end if;
    end loop;
    if amount <= 0 then
      amount := 0; price := null;
      return;
    end if;
    update balances b set amount = '0'
    where b.sender = p_sender and b.session_id <> p_session and b.amount <> '0'
      and (b.session_id = '' or b.updated_at <= p_idle)
      and not exists (select 1 from holds h
        where h.sender = b.sender and h.session_id = b.session_id and h.ends_at > p_now);
  end $$`

/** Puts a payment down; the hashes of the winners that are new, or null where it must not be recorded. */
const RECORD_PAYMENT = `
  create function record_payment_1(p_sender text, p_session text, p jsonb, p_now bigint) returns jsonb
  language plpgsql as $$
  declare
    v_hash text := p->>'hash';
    v_nonces bigint[] := array(select n::bigint from jsonb_array_elements_text(p->'nonces') n);
    v_count integer := coalesce(array_length(v_nonces, 1), 0);
    v_written integer;
    v_winners jsonb := '[]';
    v_amount text; v_price text; v_left numeric := 0;
  begin
${useNonces('null')}    if jsonb_array_length(p->'winners') > 0 then
      ${addedWinners("p->'winners'")}
      select coalesce(jsonb_agg(hash), '[]') into v_winners from added;
    end if;
    select b.amount, b.price into v_amount, v_price from balances b
      where b.sender = p_sender and b.session_id = p_session for update;
    if not found then
      select l.amount into v_left from take_leftovers_1(p_sender, p_session, (p->>'idle')::bigint, p_now) l;
      insert into balances (sender, session_id, amount, price, updated_at)
        values (p_sender, p_session, fraction_add_1(v_left::text, p->>'credit', 1), p->>'price',
          (p->>'now')::bigint);
    else
      update balances b set amount = fraction_add_1(v_amount, p->>'credit', 1),
        price = coalesce(v_price, p->>'price'), updated_at = (p->>'now')::bigint
      where b.sender = p_sender and b.session_id = p_session;
    end if;
    return v_winners;
  end $$`

/**
 * Sets a fee aside: its price and what the segment may cost beyond. Null if nothing covers it, `busy`
 * if it would be covered without the session's other segments.
 */
const HOLD_FEE = `
  create function hold_fee_1(p_sender text, p_session text, p jsonb, p_now bigint) returns jsonb
  language plpgsql as $$
  declare
    v_amount text; v_price text; v_fee text; v_needed text; v_held text := '0';
    v_usable text := '0'; v_exposed numeric := 0; v_owed numeric; v_granted numeric; v_room numeric;
    v_most numeric; v_overrun numeric; v_missing text; v_left record; v_hold record;
  begin
    select b.amount, b.price into v_amount, v_price from balances b
      where b.sender = p_sender and b.session_id = p_session for update;
    v_amount := coalesce(v_amount, '0');
    v_price := coalesce(v_price, p->>'price');
    if fraction_num_1(v_price) <= 0 then
      return jsonb_build_object('price', v_price, 'overrun', '0');
    end if;
    v_fee := fraction_text_1(fraction_num_1(v_price) * (p->>'pixels')::numeric, fraction_den_1(v_price));
    v_needed := case when fraction_num_1(v_fee) > 0 then v_fee else p->>'ev' end;
    for v_hold in select h.fee, h.segment from holds h
      where h.sender = p_sender and h.session_id = p_session and h.ends_at > p_now and h.fee <> '0' loop
      v_held := fraction_add_1(v_held, v_hold.fee, 1);
      if v_hold.segment = p->>'segment' then
        v_usable := fraction_add_1(v_usable, v_hold.fee, 1);
        v_exposed := v_exposed + fraction_ceil_1(v_hold.fee);
      end if;
    end loop;
    v_missing := fraction_add_1(v_needed, fraction_add_1(v_amount, v_held, -1), -1);
    if fraction_num_1(v_missing) > 0 then
      select * into v_left from take_leftovers_1(p_sender, p_session, (p->>'idle')::bigint, p_now);
      if v_left.amount > 0 then
        insert into balances (sender, session_id, amount, price, updated_at)
          values (p_sender, p_session, v_left.amount::text, v_left.price, (p->>'now')::bigint)
          on conflict (sender, session_id) do update set
            amount = fraction_add_1(balances.amount, excluded.amount, 1),
            price = coalesce(balances.price, excluded.price), updated_at = excluded.updated_at;
        v_missing := fraction_add_1(v_missing, v_left.amount::text, -1);
      end if;
    end if;
    select coalesce(sum(h.overrun::numeric), 0) into v_granted from holds h
      where h.sender = p_sender and h.ends_at > p_now;
    select greatest(0, -coalesce(sum(fraction_ceil_1(o.amount)), 0)) into v_owed from (
      select b.amount from balances b where b.sender = p_sender and b.amount like '-%'
      union all
      select b.amount from balances b where b.sender = p_sender and b.amount <> '0' and b.amount not like '-%'
        and (b.session_id = '' or b.updated_at <= (p->>'idle')::bigint)) o;
    v_room := (p->>'limit')::numeric - v_owed - v_granted;
    if fraction_num_1(v_missing) > 0 then
      if v_exposed > v_room or fraction_num_1(fraction_add_1(v_missing, v_usable, -1)) > 0 then
        -- Once the session's other segments have ended, the balance may cover it.
        return case when fraction_num_1(fraction_add_1(v_missing, v_held, -1)) > 0 then null else '"busy"'::jsonb end;
      end if;
      update holds h set overrun = (h.overrun::numeric + fraction_ceil_1(h.fee))::text, fee = '0'
      where h.sender = p_sender and h.session_id = p_session and h.segment = p->>'segment' and h.ends_at > p_now;
      v_room := v_room - v_exposed;
    end if;
    v_most := case when fraction_num_1(fraction_add_1(v_fee, p->>'ev', -1)) < 0 then (p->>'ev')::numeric * (p->>'factor')::numeric
      else div(fraction_num_1(v_fee) * (p->>'factor')::numeric, fraction_den_1(v_fee)) end;
    v_overrun := greatest(0, least(v_room, v_most));
    insert into holds (sender, session_id, segment, holder, fee, overrun, ends_at)
      values (p_sender, p_session, p->>'segment', p->>'holder', v_fee, v_overrun::text,
        p_now + (p->>'life')::bigint);
    return jsonb_build_object('price', v_price, 'overrun', v_overrun::text);
  end $$`

/** Takes a fee and frees what was set aside; the balance afterwards. */
const END_SEGMENT = `
  create function end_segment_1(p_sender text, p_session text, p jsonb) returns text
  language plpgsql as $$
  declare v_amount text;
  begin
    delete from holds h where h.sender = p_sender and h.session_id = p_session
      and h.segment = p->>'segment' and h.holder = p->>'holder';
    if p->>'fee' is null then return null; end if;
    insert into balances (sender, session_id, amount, price, updated_at)
      values (p_sender, p_session, fraction_add_1('0', p->>'fee', -1), null, (p->>'now')::bigint)
      on conflict (sender, session_id) do update set
        amount = fraction_add_1(balances.amount, p->>'fee', -1), updated_at = excluded.updated_at
      returning amount into v_amount;
    return v_amount;
  end $$`

/**
 * Settles a batch of items in order, all of it in one transaction. All senders are locked first, in one order: batches that
 * have a sender in common wait for one another instead of locking each other out, and what a sender may owe is exact. A
 * batch that was settled before is answered as it was then; one that is older than its writer's last is refused.
 */
const SETTLE_SEGMENTS = `
  create function settle_segments_1(p_writer text, p_seq bigint, p_node text, p_items jsonb) returns text
  language plpgsql set search_path from current set lock_timeout = '5s' as $$
  declare
    v_key bigint; v_seq bigint; v_answer text; v_now bigint; v_item jsonb; v_winners jsonb; v_hold jsonb;
    v_answers jsonb[] := '{}'; v_money jsonb[] := '{}'; v_recorded boolean;
  begin
${ENTER_BATCH}    for v_item in select i from jsonb_array_elements(p_items) with ordinality as t(i, n) order by n loop
      if v_item ? 'end' then
        v_answers := v_answers || jsonb_build_object('amount',
          end_segment_1(v_item->>'sender', v_item->>'session', v_item->'end'));
        continue;
      end if;
      v_recorded := true; v_winners := '[]'; v_hold := null;
      if v_item ? 'payment' then
        v_winners := record_payment_1(v_item->>'sender', v_item->>'session', v_item->'payment', v_now);
        v_recorded := v_winners is not null;
        if v_recorded then
          v_money := v_money || jsonb_build_object('payment', v_item->'payment', 'won', v_winners);
        end if;
      end if;
      if v_recorded and v_item ? 'hold' then
        v_hold := hold_fee_1(v_item->>'sender', v_item->>'session', v_item->'hold', v_now);
      end if;
      v_answers := v_answers || jsonb_build_object('winners', v_winners, 'hold', v_hold);
    end loop;
    if array_length(v_money, 1) > 0 then perform count_payments_1(p_node, v_money); end if;
    v_answer := to_jsonb(v_answers)::text;
${LEAVE_BATCH}    return v_answer;
  end $$`

/** Claims the number of a transaction that is sent in several statements; false if it was committed already. */
const CLAIM_BATCH = `
  create function claim_batch_1(p_writer text, p_seq bigint) returns boolean
  language plpgsql set search_path from current set lock_timeout = '5s' as $$
  begin
    insert into writers (writer, seq, answer, updated_at)
      values (p_writer, p_seq, '', floor(extract(epoch from clock_timestamp()) * 1000)::bigint)
      on conflict (writer) do update set seq = excluded.seq, updated_at = excluded.updated_at
      where writers.seq < excluded.seq;
    return found;
  end $$`

/** Counts the payments of a batch in the totals and the money of their node. */
const COUNT_PAYMENTS = `
  create function count_payments_1(p_node text, p_money jsonb[]) returns void
  language plpgsql as $$
  begin
    insert into ticket_totals (node, state, reason, count, face_value, paid)
      select p_node, w->>'state', w->>'reason', count(*), sum((w->>'face_value')::numeric)::text, '0'
      from unnest(p_money) m, jsonb_array_elements(m->'payment'->'winners') w
      where m->'won' ? (w->>'hash') group by w->>'state', w->>'reason' order by 2, 3
      on conflict (node, state, reason) do update set count = ticket_totals.count + excluded.count,
        face_value = (ticket_totals.face_value::numeric + excluded.face_value::numeric)::text;
    insert into money (node, period, at, tickets_received, tickets_won, tickets_handed_in, received, won,
        handed_in, redeemed, redeem_gas, reward_gas, other_gas)
      select p_node, x.period, x.at, sum(x.tickets), sum(x.wins), 0, sum(x.received)::text, sum(x.won)::text,
        '0', '0', '0', '0', '0'
      from (
        select k.period, k.at, jsonb_array_length(m->'payment'->'nonces') as tickets,
          jsonb_array_length(m->'won') as wins, (m->'payment'->>'received')::numeric as received,
          (select coalesce(sum((w->>'face_value')::numeric), 0)
            from jsonb_array_elements(m->'payment'->'winners') w where m->'won' ? (w->>'hash')) as won
        from unnest(p_money) m, lateral (values ('day', (m->'payment'->>'day')::bigint), ('ever', 0::bigint),
          ('round', (m->'payment'->>'round')::bigint)) k(period, at)
        where k.at is not null) x
      group by x.period, x.at order by 2, 3
      on conflict (node, period, at) do update set
        tickets_received = money.tickets_received + excluded.tickets_received,
        tickets_won = money.tickets_won + excluded.tickets_won,
        received = (money.received::numeric + excluded.received::numeric)::text,
        won = (money.won::numeric + excluded.won::numeric)::text;
  end $$`

/** Makes the functions; only PostgreSQL has them. */
export const SETTLE_FUNCTIONS: readonly string[] = [
  ...FRACTIONS,
  TAKE_LEFTOVERS,
  RECORD_PAYMENT,
  HOLD_FEE,
  END_SEGMENT,
  COUNT_PAYMENTS,
  SETTLE_SEGMENTS,
  CLAIM_BATCH,
]
