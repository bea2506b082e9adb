/*
 * What `settle-batch.ts` reads and writes once for a batch: accounts, fees set aside, nonces, winners and money.
 */

import { addedWinners, useNonces } from './settle-shared.ts'

/** Adds fractions, the second one `sign` times. Sums keep the denominator of their parts, and are bounded all the same. */
const SUM_FRACTIONS = `
  create function fraction_sum_1(an numeric, ad numeric, bn numeric, bd numeric, out n numeric, out d numeric)
  language plpgsql immutable as $$
  declare g numeric := case when bd % ad = 0 then ad else gcd(ad, bd) end;
  begin
    n := an * div(bd, g) + bn * div(ad, g);
    d := div(ad, g) * bd;
    if d > 1e80 then
      g := gcd(n, d);
      n := div(n, g);
      d := div(d, g);
    end if;
  end $$`

/**
 * The accounts of a batch, by session: balance, price, when it last changed, whether there is a row (which is locked), the
 * fees set aside, and what the balance counts for in the sender's debts; by sender: what its segments may cost beyond
 * their fees, the sum of its debts and idle credit, and whether there is such credit. Without `p_begins` nothing but balances
 * is read.
 */
const LOAD_ACCOUNTS = `
  create function load_accounts_1(
    p_senders text[], p_of_sender text[], p_of_session text[], p_idle bigint, p_now bigint, p_begins boolean,
    out num numeric[], out den numeric[], out price text[], out updated bigint[], out known boolean[],
    out held_num numeric[], out held_den numeric[], out counted numeric[],
    out granted numeric[], out owed numeric[], out has_left boolean[]
  ) language plpgsql as $$
  declare
    v_row record; v_n numeric; v_d numeric; v_count integer := cardinality(p_of_session);
    v_left numeric;
  begin
    num := array_fill(0::numeric, array[v_count]);
    den := array_fill(1::numeric, array[v_count]);
    price := array_fill(null::text, array[v_count]);
    updated := array_fill(0::bigint, array[v_count]);
    known := array_fill(false, array[v_count]);
    counted := num; held_num := num; held_den := den;
    for v_row in
      select s.n, b.amount, b.price, b.updated_at, b.session_id
      from unnest(p_of_sender, p_of_session) with ordinality as s(sender, session, n)
      join balances b on b.sender = s.sender and b.session_id = s.session
      for update of b
    loop
      v_n := fraction_num_1(v_row.amount);
      num[v_row.n] := v_n;
      den[v_row.n] := fraction_den_1(v_row.amount);
      price[v_row.n] := v_row.price;
      updated[v_row.n] := v_row.updated_at;
      known[v_row.n] := true;
      if v_n < 0 or v_n > 0 and (v_row.updated_at <= p_idle or v_row.session_id = '') then
        counted[v_row.n] := fraction_ceil_1(v_row.amount);
      end if;
    end loop;
    if not p_begins then return; end if;
    for v_row in
      select s.n, h.fee
      from unnest(p_of_sender, p_of_session) with ordinality as s(sender, session, n)
      join holds h on h.sender = s.sender and h.session_id = s.session
      where h.ends_at > p_now and h.fee <> '0'
    loop
      select f.n, f.d into v_n, v_d from fraction_sum_1(held_num[v_row.n], held_den[v_row.n],
        fraction_num_1(v_row.fee), fraction_den_1(v_row.fee)) f;
      held_num[v_row.n] := v_n;
      held_den[v_row.n] := v_d;
    end loop;
    for v_row in
      select u.n, coalesce(g.granted, 0) as granted, coalesce(o.owed, 0) as owed, coalesce(i.amount, 0) as idle,
        coalesce(f.amount, 0) as forgotten
      from unnest(p_senders) with ordinality as u(sender, n)
      left join lateral (select sum(h.overrun::numeric) as granted from holds h
        where h.sender = u.sender and h.ends_at > p_now) g on true
      left join lateral (select sum(fraction_ceil_1(b.amount)) as owed from balances b
        where b.sender = u.sender and b.amount like '-%') o on true
      left join lateral (select sum(fraction_ceil_1(b.amount)) as amount from balances b
        where b.sender = u.sender and b.updated_at <= p_idle and b.amount <> '0'
          and b.amount not like '-%' and b.session_id <> '') i on true
      left join lateral (select sum(fraction_ceil_1(b.amount)) as amount from balances b
        where b.sender = u.sender and b.session_id = '' and b.amount not like '-%') f on true
    loop
      v_left := v_row.idle + v_row.forgotten;
      granted[v_row.n] := v_row.granted;
      owed[v_row.n] := v_row.owed + v_left;
      has_left[v_row.n] := v_left > 0;
    end loop;
  end $$`

/** Writes the balances that changed. Rows that were not there may have been made meanwhile, with a price but no amount. */
const WRITE_ACCOUNTS = `
  create function write_accounts_1(p_of_sender text[], p_of_session text[], p_num numeric[], p_den numeric[],
    p_price text[], p_updated bigint[], p_known boolean[], p_changed boolean[]) returns void
  language plpgsql as $$
  begin
    update balances b set amount = fraction_text_1(w.num, w.den), price = coalesce(b.price, w.price),
      updated_at = w.updated
    from unnest(p_of_sender, p_of_session, p_num, p_den, p_price, p_updated, p_known, p_changed)
      as w(sender, session, num, den, price, updated, known, changed)
    where w.changed and w.known and b.sender = w.sender and b.session_id = w.session;
    if not (false = any (p_known)) then return; end if;
    insert into balances (sender, session_id, amount, price, updated_at)
      select w.sender, w.session, fraction_text_1(w.num, w.den), w.price, w.updated
      from unnest(p_of_sender, p_of_session, p_num, p_den, p_price, p_updated, p_known, p_changed)
        as w(sender, session, num, den, price, updated, known, changed)
      where w.changed and not w.known
      on conflict (sender, session_id) do update set
        amount = fraction_add_1(balances.amount, excluded.amount, 1),
        price = coalesce(balances.price, excluded.price), updated_at = excluded.updated_at;
  end $$`

/** Writes down fees that are set aside: of the items with these numbers. */
const WRITE_HOLDS = `
  create function write_holds_1(p_items jsonb[], p_at integer[], p_fees text[], p_overruns numeric[], p_now bigint)
  returns void language plpgsql as $$
  begin
    insert into holds (sender, session_id, segment, holder, fee, overrun, ends_at)
    select p_items[w.at]->>'sender', p_items[w.at]->>'session', p_items[w.at]->'hold'->>'segment',
      p_items[w.at]->'hold'->>'holder', w.fee, w.overrun::text, p_now + (p_items[w.at]->'hold'->>'life')::bigint
    from unnest(p_at, p_fees, p_overruns) as w(at, fee, overrun);
  end $$`

/** The secret numbers of which some payment of a batch may have to be refused: each of their payments is looked at alone. */
const DOUBTFUL_RANDS = `
  create function doubtful_rands_1(p_items jsonb) returns text[] language plpgsql as $$
  begin
    return array(select g.hash from (
      select i->'payment'->>'hash' as hash, min((i->'payment'->>'most')::integer) as most,
        count(n) as used, array_agg(n::bigint) as nonces, count(distinct n) as different
      from jsonb_array_elements(p_items) i
        left join lateral jsonb_array_elements_text(i->'payment'->'nonces') n on true
      where i ? 'payment' group by 1) g
    where g.different < g.used
      or exists (select 1 from revealed_rands r where r.rand_hash = g.hash)
      or (select count(*) from nonces o where o.rand_hash = g.hash) + g.used > g.most
      or exists (select 1 from nonces o where o.rand_hash = g.hash and o.nonce = any (g.nonces)));
  end $$`

/** Writes down the nonces of all payments but the doubtful ones. */
const WRITE_NONCES = `
  create function write_nonces_1(p_items jsonb, p_doubtful text[]) returns void language plpgsql as $$
  declare v_count integer; v_written integer;
  begin
    select coalesce(sum(jsonb_array_length(i->'payment'->'nonces')), 0) into v_count
      from jsonb_array_elements(p_items) i
      where i ? 'payment' and not (i->'payment'->>'hash' = any (p_doubtful));
    insert into nonces (rand_hash, nonce, expiration_block)
      select i->'payment'->>'hash', n::bigint, (i->'payment'->>'expires')::bigint
      from jsonb_array_elements(p_items) i, jsonb_array_elements_text(i->'payment'->'nonces') n
      where i ? 'payment' and not (i->'payment'->>'hash' = any (p_doubtful))
      order by 1, 2
      on conflict do nothing;
    get diagnostics v_written = row_count;
    if v_written < v_count then
      raise exception 'a nonce was written without its sender''s lock' using errcode = 'serialization_failure';
    end if;
  end $$`

/** Writes down the nonces of one payment; false where one is used, the number is revealed, or has too many. */
const USE_NONCES = `
  create function use_nonces_1(p jsonb) returns boolean language plpgsql as $$
  declare
    v_hash text := p->>'hash';
    v_nonces bigint[] := array(select n::bigint from jsonb_array_elements_text(p->'nonces') n);
    v_count integer := cardinality(v_nonces);
    v_written integer;
  begin
${useNonces('false')}    return true;
  end $$`

/** Writes down winning tickets; the hashes of those that are new. */
const WRITE_WINNERS = `
  create function write_winners_1(p_winners jsonb) returns jsonb language plpgsql as $$
  declare v_added jsonb;
  begin
    ${addedWinners('p_winners')}
    select coalesce(jsonb_agg(a.hash), '[]') into v_added from added a;
    return v_added;
  end $$`

/** Counts tickets that did not win in the money of their node. */
const COUNT_TICKETS = `
  create function count_tickets_1(p_node text, p_day bigint, p_round bigint, p_tickets bigint, p_received numeric)
  returns void language plpgsql as $$
  begin
    insert into money (node, period, at, tickets_received, tickets_won, tickets_handed_in, received, won,
        handed_in, redeemed, redeem_gas, reward_gas, other_gas)
      select p_node, k.period, k.at, p_tickets, 0, 0, p_received::text, '0', '0', '0', '0', '0', '0'
      from (values ('day', p_day), ('ever', 0::bigint), ('round', p_round)) k(period, at)
      where k.at is not null order by 2, 3
      on conflict (node, period, at) do update set
        tickets_received = money.tickets_received + excluded.tickets_received,
        received = (money.received::numeric + excluded.received::numeric)::text;
  end $$`

/** Makes the functions that `settle_segments_2` calls; only PostgreSQL has them. */
export const SETTLE_PARTS: readonly string[] = [
  ...[SUM_FRACTIONS, LOAD_ACCOUNTS, WRITE_ACCOUNTS, WRITE_HOLDS, DOUBTFUL_RANDS, WRITE_NONCES, USE_NONCES],
  ...[WRITE_WINNERS, COUNT_TICKETS],
]
