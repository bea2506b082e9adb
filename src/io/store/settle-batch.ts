/*
 * The second make of the hot path of a store that several nodes share, for the same items and tables as `settle-function.ts`:
 * accounts are read once for a batch and written once, and what lies between is computed in memory. Whatever is rare (a
 * balance that does not cover a fee, credit in idle sessions, a nonce that was used) is left to the functions of the first
 * make, for which the accounts are written down before and read again after.
 */

import { ENTER_BATCH, LEAVE_BATCH } from './settle-shared.ts'

/**
 * Settles a batch as `settle_segments_1` does, under the same locks, so that nodes may call either. What ends is settled
 * before what begins, since all of it came at the same moment.
 */
export const SETTLE_BATCH = `
  create function settle_segments_2(p_writer text, p_seq bigint, p_node text, p_items jsonb) returns text
  language plpgsql set search_path from current set lock_timeout = '5s'
  -- Few rows are read, each by its key, however large or new the tables are.
  set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off' as $$
  declare
    v_key bigint; v_seq bigint; v_answer text; v_now bigint; v_idle bigint;
    v_items jsonb[]; v_s integer[]; v_u integer[]; v_count integer;
    v_senders text[]; v_of_sender text[]; v_of_session text[];
    v_num numeric[]; v_den numeric[]; v_price text[]; v_updated bigint[]; v_known boolean[]; v_changed boolean[];
    v_held_num numeric[]; v_held_den numeric[]; v_counted numeric[];
    v_granted numeric[]; v_owed numeric[]; v_has_left boolean[];
    v_at integer[] := '{}'; v_fees text[] := '{}'; v_overruns numeric[] := '{}';
    v_answers jsonb[]; v_money jsonb[] := '{}'; v_begins boolean; v_ends boolean; v_pays boolean;
    v_doubtful text[] := '{}'; v_unchanged boolean[]; v_stale boolean;
    v_item jsonb; v_part jsonb; v_winners jsonb; v_hold jsonb; s integer; u integer;
    v_text text; v_n numeric; v_d numeric; v_fn numeric; v_fd numeric; v_ev numeric; v_left numeric; v_overrun numeric;
    v_day bigint; v_round bigint; v_tickets bigint := 0; v_received numeric := 0;
  begin
${ENTER_BATCH}
    select array_agg(x.i order by x.n), array_agg(x.s order by x.n), array_agg(x.u order by x.n), count(*),
      coalesce(bool_or(not x.i ? 'end'), false), coalesce(bool_or(x.i ? 'end'), false),
      coalesce(bool_or(x.i ? 'payment'), false),
      min(least((x.i->'payment'->>'idle')::bigint, (x.i->'hold'->>'idle')::bigint)),
      coalesce(max(x.u), 0), coalesce(max(x.s), 0)
    into v_items, v_s, v_u, v_count, v_begins, v_ends, v_pays, v_idle, u, s
    from (select t.i, t.n, dense_rank() over (order by t.i->>'sender', t.i->>'session')::integer as s,
        dense_rank() over (order by t.i->>'sender')::integer as u
      from jsonb_array_elements(p_items) with ordinality as t(i, n)) x;
    v_answers := array_fill(null::jsonb, array[v_count]);
    v_senders := array_fill(null::text, array[u]);
    v_of_sender := array_fill(null::text, array[s]);
    v_of_session := v_of_sender;
    v_unchanged := array_fill(false, array[s]);
    v_changed := v_unchanged;
    v_stale := v_count > 0;
    for k in 1..v_count loop
      v_senders[v_u[k]] := v_items[k]->>'sender';
      v_of_sender[v_s[k]] := v_items[k]->>'sender';
      v_of_session[v_s[k]] := v_items[k]->>'session';
    end loop;

    if v_ends then
      delete from holds h using jsonb_array_elements(p_items) i
      where i ? 'end' and h.sender = i->>'sender' and h.session_id = i->>'session'
        and h.segment = i->'end'->>'segment' and h.holder = i->'end'->>'holder';
    end if;

    for v_pass in 1..2 loop
      if v_pass = 2 and v_pays then
        v_doubtful := doubtful_rands_1(p_items);
        perform write_nonces_1(p_items, v_doubtful);
      end if;
      for k in 1..v_count loop
        v_item := v_items[k];
        continue when v_item ? 'end' <> (v_pass = 1);
        s := v_s[k];
        u := v_u[k];
        if v_stale then
          select * into v_num, v_den, v_price, v_updated, v_known, v_held_num, v_held_den, v_counted,
            v_granted, v_owed, v_has_left
          from load_accounts_1(v_senders, v_of_sender, v_of_session, v_idle, v_now, v_begins);
          v_stale := false;
        end if;
        if v_pass = 1 then
          v_part := v_item->'end';
          v_text := v_part->>'fee';
          if v_text is null then
            v_answers[k] := jsonb_build_object('amount', null);
            continue;
          end if;
          v_fn := -fraction_num_1(v_text);
        elsif v_item ? 'payment' then
          v_part := v_item->'payment';
          v_winners := '[]';
          if cardinality(v_doubtful) > 0 and v_part->>'hash' = any (v_doubtful) then
            if not use_nonces_1(v_part) then
              v_answers[k] := jsonb_build_object('winners', null, 'hold', null);
              continue;
            end if;
          end if;
          if jsonb_array_length(v_part->'winners') > 0 then
            v_winners := write_winners_1(v_part->'winners');
            v_money := v_money || jsonb_build_object('payment', v_part, 'won', v_winners);
          else
            if v_day <> (v_part->>'day')::bigint or v_day is not null
              and v_round is distinct from (v_part->>'round')::bigint then
              perform count_tickets_1(p_node, v_day, v_round, v_tickets, v_received);
              v_tickets := 0;
              v_received := 0;
            end if;
            v_day := (v_part->>'day')::bigint;
            v_round := (v_part->>'round')::bigint;
            v_tickets := v_tickets + jsonb_array_length(v_part->'nonces');
            v_received := v_received + (v_part->>'received')::numeric;
          end if;
          v_text := v_part->>'credit';
          v_fn := fraction_num_1(v_text);
          if v_price[s] is null then v_price[s] := v_part->>'price'; end if;
        else
          v_text := null;
          v_winners := '[]';
        end if;

        if v_text is not null then
          -- A change of the balance: of what ends or of what is paid.
          v_fd := fraction_den_1(v_text);
          if v_pass = 2 and not v_known[s] and not v_changed[s] and v_has_left[u] then
            -- A new session takes over what is left in its sender's idle ones.
            perform write_accounts_1(v_of_sender, v_of_session, v_num, v_den, v_price, v_updated, v_known, v_changed);
            perform write_holds_1(v_items, v_at, v_fees, v_overruns, v_now);
            v_at := '{}'; v_fees := '{}'; v_overruns := '{}'; v_changed := v_unchanged;
            select l.amount into v_left
              from take_leftovers_1(v_of_sender[s], v_of_session[s], v_idle, v_now) l;
            select f.n, f.d into v_fn, v_fd from fraction_sum_1(v_fn, v_fd, v_left, 1) f;
            v_text := v_price[s];
            select * into v_num, v_den, v_price, v_updated, v_known, v_held_num, v_held_den, v_counted,
              v_granted, v_owed, v_has_left
            from load_accounts_1(v_senders, v_of_sender, v_of_session, v_idle, v_now, v_begins);
            v_price[s] := coalesce(v_price[s], v_text);
          end if;
          v_n := v_num[s];
          v_d := v_den[s];
          if v_d = v_fd then v_n := v_n + v_fn;
          elsif v_d % v_fd = 0 then v_n := v_n + v_fn * div(v_d, v_fd);
          else select f.n, f.d into v_n, v_d from fraction_sum_1(v_n, v_d, v_fn, v_fd) f;
          end if;
          v_num[s] := v_n;
          v_den[s] := v_d;
          v_updated[s] := (v_part->>'now')::bigint;
          v_changed[s] := true;
          if v_begins then
            v_left := case when v_n < 0 or v_n > 0 and (v_updated[s] <= v_idle or v_of_session[s] = '')
              then div(v_n, v_d) + case when v_n > 0 and v_n % v_d <> 0 then 1 else 0 end else 0 end;
            if v_left <> v_counted[s] then
              v_owed[u] := v_owed[u] + v_left - v_counted[s];
              v_counted[s] := v_left;
            end if;
          end if;
          if v_pass = 1 then
            v_answers[k] := jsonb_build_object('amount', fraction_text_1(v_n, v_d));
            continue;
          end if;
        end if;

        v_hold := null;
        v_part := v_item->'hold';
        if v_part is not null then
          v_text := coalesce(v_price[s], v_part->>'price');
          v_fn := fraction_num_1(v_text);
          if v_fn <= 0 then
            v_hold := jsonb_build_object('price', v_text, 'overrun', '0');
          else
            v_fn := v_fn * (v_part->>'pixels')::numeric;
            v_fd := fraction_den_1(v_text);
            v_ev := (v_part->>'ev')::numeric;
            -- What is left of the balance, less what is needed.
            if v_held_num[s] = 0 then v_n := v_num[s]; v_d := v_den[s];
            else select f.n, f.d into v_n, v_d
              from fraction_sum_1(v_num[s], v_den[s], -v_held_num[s], v_held_den[s]) f;
            end if;
            if (case when v_fn > 0 then v_n * v_fd >= v_fn * v_d else v_n >= v_ev * v_d end) then
              v_overrun := greatest(0, least(
                (v_part->>'limit')::numeric - greatest(0, -v_owed[u]) - v_granted[u],
                case when v_fn < v_ev * v_fd then v_ev * (v_part->>'factor')::numeric
                  else div(v_fn * (v_part->>'factor')::numeric, v_fd) end));
              if v_held_num[s] = 0 then v_n := v_fn; v_d := v_fd;
              else select f.n, f.d into v_n, v_d
                from fraction_sum_1(v_held_num[s], v_held_den[s], v_fn, v_fd) f;
              end if;
              v_held_num[s] := v_n;
              v_held_den[s] := v_d;
              v_granted[u] := v_granted[u] + v_overrun;
              v_at := v_at || k;
              v_fees := v_fees || fraction_text_1(v_fn, v_fd);
              v_overruns := v_overruns || v_overrun;
              v_hold := jsonb_build_object('price', v_text, 'overrun', v_overrun::text);
            else
              perform write_accounts_1(v_of_sender, v_of_session, v_num, v_den, v_price, v_updated, v_known, v_changed);
              perform write_holds_1(v_items, v_at, v_fees, v_overruns, v_now);
              v_at := '{}'; v_fees := '{}'; v_overruns := '{}'; v_changed := v_unchanged;
              v_hold := hold_fee_1(v_of_sender[s], v_of_session[s], v_part, v_now);
              v_stale := true;
            end if;
          end if;
        end if;
        v_answers[k] := jsonb_build_object('winners', v_winners, 'hold', v_hold);
      end loop;
    end loop;

    if true = any (v_changed) then
      perform write_accounts_1(v_of_sender, v_of_session, v_num, v_den, v_price, v_updated, v_known, v_changed);
    end if;
    if cardinality(v_at) > 0 then perform write_holds_1(v_items, v_at, v_fees, v_overruns, v_now); end if;
    if v_day is not null then perform count_tickets_1(p_node, v_day, v_round, v_tickets, v_received); end if;
    if cardinality(v_money) > 0 then perform count_payments_1(p_node, v_money); end if;
    v_answer := to_jsonb(v_answers)::text;
${LEAVE_BATCH}    return v_answer;
  end $$`
