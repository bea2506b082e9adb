/**
 * One of several processes that pay, hold, charge and spend nonces of the same sessions at random. Prints what the store
 * acknowledged, as one line of JSON.
 */
import { Store } from '../../src/io/store/store.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { HoldRequest } from '../../src/services/orchestrator/payment-records.ts'
import { holdRequest } from './accounts.ts'
import { paymentRecord, wonTicket } from './store.ts'

/** What a process did, in the store's answers. */
export interface WorkerReport {
  /** Payments that were recorded. */
  readonly paid: { sender: Address; sessionId: string; rand: number; nonces: number[]; credit: string }[]
  /** The numbers of the winners that the store called new. */
  readonly winners: number[]
  readonly charged: { sender: Address; sessionId: string; fee: string }[]
  readonly heldNot: number
  readonly refused: number
  /** Fees that were set aside and left so. */
  readonly left: { sender: Address; sessionId: string; fee: string }[]
  readonly errors: string[]
}

const SENDERS: readonly Address[] = [
  '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf',
  '0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF',
]
const PRICE = Rational.of(7n, 3n)
const STREAMS = 4

const [location = '', name = '', steps = '0'] = process.argv.slice(2)
const dice = seededDice(name)
const pick = (most: number) => Math.floor(dice.fraction() * most)
const store = new Store({ location, node: name })
await store.open()
const report = {
  ...{ paid: [], winners: [], charged: [], heldNot: 0, refused: 0, left: [], errors: [] },
} as { -readonly [K in keyof WorkerReport]: WorkerReport[K] }

async function step(): Promise<void> {
  const sender = SENDERS[pick(SENDERS.length)]!
  const sessionId = `session ${pick(5)}`
  const start = { payment: null as ReturnType<typeof paymentRecord> | null, hold: null as HoldRequest | null }
  // A secret number belongs to one sender.
  const rand = 2 * pick(3) + SENDERS.indexOf(sender)
  if (pick(3) > 0) {
    const nonces = [...new Set(Array.from({ length: 1 + pick(3) }, () => pick(400)))]
    const winners = pick(4) === 0 ? [wonTicket(1_000 * rand + nonces[0]!, sender)] : []
    const credit = Rational.of(BigInt(1 + pick(50)), 2n ** 256n - 1n).add(
      Rational.of(BigInt(5 * nonces.length)),
    )
    const recipientRandHash = new Uint8Array(32).fill(rand)
    start.payment = paymentRecord({
      sender,
      sessionId,
      nonces,
      winners,
      credit,
      recipientRandHash,
      price: PRICE,
    })
  }
  if (pick(3) > 0 || !start.payment) {
    start.hold = holdRequest({
      sender,
      sessionId,
      price: PRICE,
      pixels: BigInt(1 + pick(4)),
      lifeMs: 600_000,
    })
  }
  const { hold, newWinners } = await store.beginSegment(start)
  if (newWinners === null) report.refused++
  else if (start.payment) {
    const { credit, nonces } = start.payment
    report.paid.push({ sender, sessionId, rand, nonces: [...nonces], credit: credit.toString() })
    report.winners.push(...newWinners.map(({ senderNonce }) => senderNonce))
  }
  if (!start.hold || newWinners === null) return
  if (!hold) {
    report.heldNot++
    return
  }
  const fee = PRICE.mul(Rational.of(start.hold.pixels))
  if (pick(20) === 0) {
    report.left.push({ sender, sessionId, fee: fee.toString() })
    return
  }
  const isDone = pick(4) > 0
  await store.endSegment({ ...start.hold, fee: isDone ? fee : null })
  if (isDone) report.charged.push({ sender, sessionId, fee: fee.toString() })
}

async function stream(): Promise<void> {
  for (let i = 0; i < Number(steps) / STREAMS; i++) {
    try {
      await step()
    } catch (error) {
      report.errors.push(String(error))
    }
  }
}

await Promise.all(Array.from({ length: STREAMS }, stream))
await store.close()
console.log(JSON.stringify(report))
