/*
 * What both makes of the hot path do alike, as parts of their text: nodes of two versions call one or the other on the same
 * tables, which is right only while they take the same locks and refuse the same. Neither make is changed once released.
 */

/** Locks the senders in one order, answers a batch that was settled before, and takes the time. */
export const ENTER_BATCH = `    if current_setting('transaction_isolation') <> 'read committed' then
      raise exception 'the database must use the isolation level "read committed", not "%": set default_transaction_isolation',
        current_setting('transaction_isolation') using errcode = 'feature_not_supported';
    end if;
    for v_key in select distinct hashtextextended(current_schema() || '/' || (i->>'sender'), 0) as k
      from jsonb_array_elements(p_items) i order by k loop
      perform pg_advisory_xact_lock(v_key);
    end loop;
    select w.seq, w.answer into v_seq, v_answer from writers w where w.writer = p_writer;
    if v_seq = p_seq then return v_answer; end if;
    if v_seq > p_seq then
      raise exception 'batch % came after batch %', p_seq, v_seq using errcode = 'invalid_transaction_state';
    end if;
    v_now := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
`

/** Notes the batch and its answer. */
export const LEAVE_BATCH = `    insert into writers (writer, seq, answer, updated_at) values (p_writer, p_seq, v_answer, v_now)
      on conflict (writer) do update set seq = excluded.seq, answer = excluded.answer,
        updated_at = excluded.updated_at
      where writers.seq < excluded.seq;
    if not found then
      raise exception 'batch % came after a later one', p_seq using errcode = 'invalid_transaction_state';
    end if;
`

/** Writes down the nonces of `p`; where one is used, the number is revealed, or has too many, it returns `refused`. */
export function useNonces(refused: 'null' | 'false'): string {
  return `    if exists (select 1 from revealed_rands where rand_hash = v_hash)
      or (select count(*) from nonces where rand_hash = v_hash) + v_count > (p->>'most')::integer
      or (select count(distinct n) from unnest(v_nonces) n) < v_count
      or exists (select 1 from nonces where rand_hash = v_hash and nonce = any (v_nonces)) then
      return ${refused};
    end if;
    insert into nonces (rand_hash, nonce, expiration_block)
      select v_hash, n, (p->>'expires')::bigint from unnest(v_nonces) n order by n
      on conflict do nothing;
    get diagnostics v_written = row_count;
    if v_written < v_count then
      raise exception 'a nonce was written without its sender''s lock' using errcode = 'serialization_failure';
    end if;
`
}

/**
 * The beginning of a statement that writes down winning tickets, with `more` columns of text: `added` has the hashes of those
 * that are new.
 */
export function addedWinners(winners: string, more: readonly string[] = []): string {
  const names = more.map((name) => `, ${name}`).join('')
  return `with added as (
      insert into tickets (hash, sender, recipient, face_value, win_prob, sender_nonce, recipient_rand,
        recipient_rand_hash, sig, creation_round, creation_round_block_hash, params_expiration_block,
        received_at, updated_at, state, reason${names})
      select hash, sender, recipient, face_value, win_prob, sender_nonce, recipient_rand,
        recipient_rand_hash, sig, creation_round, creation_round_block_hash, params_expiration_block,
        received_at, updated_at, state, reason${names}
      from jsonb_to_recordset(${winners}) as w(hash text, sender text, recipient text, face_value text,
        win_prob text, sender_nonce bigint, recipient_rand text, recipient_rand_hash text, sig text,
        creation_round bigint, creation_round_block_hash text, params_expiration_block bigint,
        received_at bigint, updated_at bigint, state text, reason text${more.map((name) => `, ${name} text`).join('')})
      order by hash
      on conflict do nothing
      returning hash)`
}
