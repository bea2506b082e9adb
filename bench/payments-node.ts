import { Store, type StoreOptions } from '../src/io/store/store.ts'
import { intToFixedBytes } from '../src/lib/bytes.ts'
import { ManualClock } from '../src/lib/clock.ts'
import { seededDice, systemDice } from '../src/lib/dice.ts'
import { Rational } from '../src/lib/rational.ts'
import { Supervisor } from '../src/lib/service.ts'
import { PriceBook } from '../src/services/orchestrator/price-book.ts'
import type { Recipient } from '../src/services/orchestrator/recipient.ts'
import { FakeChain } from '../test/fakes/chain.ts'
import { FakePayer } from '../test/fakes/payer.ts'
import { ETHER, EV, ORCHESTRATOR, recipientOn } from '../test/fakes/recipient-world.ts'

/*
 * The payments of one orchestrator in a process of its own: tickets are judged, recorded and charged for as in a node, but
 * nothing is transcoded and nothing goes over a network except to the store. Segments are prepared before they are counted.
 */

/** What a process is to do; JSON in its first argument. */
export interface PaymentsJob {
  readonly store: StoreOptions
  /** Names the senders, whose sessions this process works for. */
  readonly senders: readonly string[]
  readonly sessionsOfEach: number
  readonly forMs: number
  /** It ends earlier once these are done. */
  readonly segments: number
}

/** What it did: sent to its parent once it has been told to begin. */
export interface PaymentsDone {
  readonly segments: number
  readonly tookMs: number
  /** Processor time of this process for all of them. */
  readonly cpuMs: number
}

/** Tickets that are paid with one offer, as a gateway gets a new one with each result. */
const TICKETS_OF_AN_OFFER = 100
const PRICE = 1_000n
/** One ticket pays for one segment. */
const PIXELS = EV / PRICE

type Segment = Parameters<Recipient['admit']>[0]

const job = JSON.parse(process.argv[2]!) as PaymentsJob
const chain = new FakeChain()
const payers = job.senders.map((name) => new FakePayer(name, { quick: true }))
for (const { address } of payers) chain.fund(address, 1_000n * ETHER, 1_000n * ETHER)
chain.mine()
const store = new Store(job.store)
await store.open()
const clock = new ManualClock()
const { activity, recipient, rounds, secret, senders } = recipientOn(
  {
    ...{ chain, clock, store, dice: systemDice, winners: { adopt() {} } },
    priceBook: new PriceBook(() => Rational.of(PRICE)),
  },
  { recipient: ORCHESTRATOR, ticketEv: EV, redeemGas: 350_000n, maxFaceValue: 0n, autoAdjustPrice: false },
)
const supervisor = new Supervisor()
for (const service of [rounds, senders, activity, secret, recipient]) await supervisor.start(service)

const dice = seededDice(`${job.store.node}`)
const sessions = payers.flatMap((payer) =>
  Array.from({ length: job.sessionsOfEach }, () => ({
    payer,
    sessionId: Buffer.from(dice.bytes(4)).toString('hex'),
  })),
)
const prepared = await Promise.all(
  sessions.map(async ({ payer, sessionId }) => {
    const segments: Segment[] = []
    const wanted = Math.ceil(job.segments / sessions.length)
    for (let offer = await recipient.quote(payer.address, null); segments.length < wanted; ) {
      for (let i = 0; i < TICKETS_OF_AN_OFFER && segments.length < wanted; i++) {
        const segment = intToFixedBytes(BigInt(segments.length), 32)
        const payment = payer.pay(offer, 1)
        segments.push({
          ...{ sender: payer.address, sessionId, manifestId: '', payment, segment },
          ...{ pixels: PIXELS, lifeMs: 60_000 },
        })
      }
      offer = await recipient.quote(payer.address, null)
    }
    return segments
  }),
)

process.on('disconnect', () => process.exit())
process.once('message', async () => {
  const started = performance.now()
  const end = started + job.forMs
  const cpu = process.cpuUsage()
  let done = 0
  await Promise.all(
    prepared.map(async (segments) => {
      for (const segment of segments) {
        if (performance.now() > end) return
        const reservation = await recipient.admit(segment)
        await reservation.charge(PIXELS)
        done++
      }
    }),
  )
  const tookMs = performance.now() - started
  const { system, user } = process.cpuUsage(cpu)
  await supervisor.stop()
  await store.close()
  process.send!({ segments: done, tookMs, cpuMs: (system + user) / 1000 } satisfies PaymentsDone, () =>
    process.exit(),
  )
})
process.send!('ready')
