import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { Postgres } from '../../../devnet/postgres.ts'
import { memoryFolder } from '../../../test/tools/memory-folder.ts'
import { seededDice } from '../../lib/dice.ts'
import { Rational } from '../../lib/rational.ts'
import { openDatabase } from './open.ts'

let postgres: Postgres
before(async () => {
  postgres = await Postgres.start({ within: memoryFolder(), settings: { fsync: 'off' } })
})
after(() => postgres.stop())

const BATCHES = Number(process.env.SETTLE_BATCHES ?? 80)
const SEED = process.env.SETTLE_SEED ?? 'batches'
/** The function that settles a batch by its number, by schema: nodes of two releases may share one. */
const SCHEMAS = {
  first: () => 'settle_segments_1',
  second: () => 'settle_segments_2',
  third: () => 'settle_segments_3',
  mixed: (seq: number) => `settle_segments_${1 + (seq % 3)}`,
} as const
type Schema = keyof typeof SCHEMAS
const ALL = Object.keys(SCHEMAS) as Schema[]
const MOST_NONCES = 30
const TABLES: Readonly<Record<string, string>> = {
  balances: 'sender, session_id, amount, price, updated_at',
  holds: 'sender, session_id, segment, holder, fee, overrun',
  nonces: 'rand_hash, nonce, expiration_block',
  tickets: 'hash, sender, face_value, state',
  money: 'node, period, at, tickets_received, tickets_won, received, won',
  ticket_totals: 'node, state, reason, count, face_value',
  writers: 'writer, seq',
}

interface Held {
  readonly sender: string
  readonly session: string
  readonly segment: string
  readonly holder: string
}

/** What nodes may send, of a few senders with little credit, so that everything that is rare happens. */
class Traffic {
  readonly #dice = seededDice(SEED)
  #nowMs = 1_700_000_000_000
  #segments = 0
  #winners = 0
  #held: Held[] = []

  pick(most: number): number {
    return Math.floor(this.#dice.fraction() * most)
  }

  /** A batch; what ends comes first in it, since the second make settles that first. */
  batch(): Record<string, unknown>[] {
    this.#nowMs += this.pick(4) === 0 ? 400_000 : 1_000
    const ending = this.#held.splice(0, this.pick(Math.min(6, this.#held.length + 1)))
    return [
      ...ending.map((held) => this.#end(held)),
      ...Array.from({ length: 1 + this.pick(8) }, () => this.#begin()),
    ]
  }

  /** The fees of items that were set aside end later. */
  note(items: readonly Record<string, unknown>[], answers: readonly Record<string, unknown>[]): void {
    for (const [i, { hold, sender, session }] of items.entries()) {
      const answer = answers[i]!.hold
      if (!hold || !answer || answer === 'busy') continue
      const { segment, holder } = hold as Held
      this.#held.push({ sender: String(sender), session: String(session), segment, holder })
    }
    if (this.pick(3) === 0) this.#held.reverse()
  }

  #end({ holder, segment, sender, session }: Held) {
    const fee =
      this.pick(4) === 0 ? null : Rational.of(BigInt(this.pick(40)), BigInt(1 + this.pick(3))).toString()
    return { sender, session, end: { segment, holder, fee, now: this.#nowMs } }
  }

  #begin() {
    const who = this.pick(3)
    const sender = `sender ${who}`
    const idle = this.#nowMs - 1_200_000
    const common = { idle, now: this.#nowMs }
    const price = this.pick(12) === 0 ? '0' : ['7/3', '2', '5/2'][this.pick(3)]
    const isPaid = this.pick(5) > 0
    const payment = {
      ...{ hash: `rand ${who} ${this.pick(6)}`, nonces: this.#nonces(), most: MOST_NONCES, expires: '5' },
      ...{ credit: this.#credit(), price, received: '12', day: 19_000 + this.pick(2) },
      ...{
        round: this.pick(5) === 0 ? null : '7',
        winners: this.pick(6) === 0 ? [this.#winner(sender)] : [],
      },
      ...common,
    }
    const segment = this.pick(4) === 0 ? 'again' : `segment ${++this.#segments}`
    const hold = {
      ...{ segment, holder: `holder ${++this.#segments}`, pixels: String(this.pick(14)), price },
      ...{
        ev: String(4 + this.pick(6)),
        factor: '4',
        limit: String(this.pick(120)),
        life: 3_600_000,
        ...common,
      },
    }
    const session = `session ${this.pick(5) + (this.pick(9) === 0 ? this.#segments : 0)}`
    return {
      ...{ sender, session, ...(isPaid && { payment }) },
      ...((!isPaid || this.pick(4) > 0) && { hold }),
    }
  }

  #nonces(): number[] {
    return Array.from({ length: 1 + this.pick(3) }, () => this.pick(400))
  }

  #credit(): string {
    const whole = Rational.of(BigInt(this.pick(24)))
    return whole.add(Rational.of(BigInt(this.pick(3)), [1n, 2n ** 256n - 1n, 7n][this.pick(3)]!)).toString()
  }

  #winner(sender: string) {
    // Some are known already.
    const hash = `winner ${this.pick(4) === 0 ? this.pick(this.#winners + 1) : ++this.#winners}`
    return {
      ...{ hash, sender, recipient: 'r', face_value: '1000', win_prob: '1', sender_nonce: '1' },
      ...{ recipient_rand: '1', recipient_rand_hash: 'h', sig: 's', creation_round: '1' },
      ...{ creation_round_block_hash: 'b', params_expiration_block: '5', received_at: '1', updated_at: '1' },
      ...{ state: 'open', reason: '' },
    }
  }
}

/** Amounts by their value: a fraction may be written in several ways. */
function valuesIn(row: Record<string, unknown>): Record<string, unknown> {
  const amount = row.amount ?? row.fee
  if (typeof amount !== 'string') return row
  return { ...row, [row.amount === undefined ? 'fee' : 'amount']: Rational.parse(amount).toString() }
}

test('all makes of the function that settles batches answer the same and leave the same behind', async (t) => {
  const location = await postgres.newDatabase()
  for (const schema of ALL) await (await openDatabase({ location, schema })).close()
  const client = new pg.Client({ connectionString: location })
  await client.connect()
  t.after(() => client.end())
  const traffic = new Traffic()
  const seen = { held: 0, refused: 0, busy: 0, uncovered: 0, winners: 0, withoutOverrun: 0, debts: 0 }
  for (let seq = 1; seq <= BATCHES; seq++) {
    if (traffic.pick(12) === 0) {
      const revealed = `rand ${traffic.pick(3)} ${traffic.pick(6)}`
      for (const schema of ALL) {
        await client.query(`delete from ${schema}.revealed_rands`)
        await client.query(`insert into ${schema}.revealed_rands values ($1, 5)`, [revealed])
        await client.query(`delete from ${schema}.nonces where rand_hash <> $1`, [revealed])
      }
    }
    const items = traffic.batch()
    const settle = async (schema: Schema) => {
      const { rows } = await client.query(
        `select ${schema}.${SCHEMAS[schema](seq)}('writer', $1, 'node', $2) as answer`,
        [seq, JSON.stringify(items)],
      )
      return JSON.parse(rows[0].answer) as Record<string, unknown>[]
    }
    const about = `batch ${seq} of "${SEED}": ${JSON.stringify(items)}`
    const first = await settle('first')
    const second = await settle('second')
    assert.deepEqual(second.map(valuesIn), first.map(valuesIn), about)
    for (const schema of ['third', 'mixed'] as const) {
      assert.deepEqual((await settle(schema)).map(valuesIn), first.map(valuesIn), about)
    }
    assert.deepEqual(await settle('second'), second, 'sent again it is answered as it was')
    traffic.note(items, second)
    for (const [i, { hold, winners, amount }] of second.entries()) {
      if (items[i]!.payment && winners === null) seen.refused++
      else if (hold === 'busy') seen.busy++
      else if (items[i]!.hold && hold === null) seen.uncovered++
      else if (hold) seen.held++
      if (Array.isArray(winners)) seen.winners += winners.length
      if (hold && (hold as { overrun?: string }).overrun === '0') seen.withoutOverrun++
      if (String(amount).startsWith('-')) seen.debts++
    }
    if (seq % 20 > 0 && seq < BATCHES) continue
    for (const [table, columns] of Object.entries(TABLES)) {
      const read = async (schema: Schema) => {
        const { rows } = await client.query(`select ${columns} from ${schema}.${table} order by ${columns}`)
        return rows.map(valuesIn)
      }
      const expected = await read('first')
      for (const schema of ALL)
        assert.deepEqual(await read(schema), expected, `${table} of ${schema} after ${about}`)
    }
  }
  const counted = (rows: string) =>
    client.query(`select sum(tickets_received) as tickets, sum(tickets_won) as wins, sum(received::numeric) as received,
      sum(won::numeric) as won from third.${rows}`)
  const [ever] = (await counted("money where period = 'ever'")).rows
  assert.deepEqual((await counted('ledger')).rows, [ever], 'the third counts the same by gateway')
  t.diagnostic(JSON.stringify(seen))
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `no ${what}`)
})
