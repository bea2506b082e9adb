import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { WinningTicket } from '../../src/domain/ticket.ts'
import { Store } from '../../src/io/store/store.ts'
import { intToFixedBytes } from '../../src/lib/bytes.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import type { Address } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { PriceBook, type PriceSource } from '../../src/services/orchestrator/price-book.ts'
import type { Recipient } from '../../src/services/orchestrator/recipient.ts'
import { SecretRing } from '../../src/services/orchestrator/secret-ring.ts'
import type { Reservation } from '../../src/services/orchestrator/segment-accounts.ts'
import {
  TicketRecipient,
  type TicketRecipientNeeds,
  type TicketRecipientOptions,
} from '../../src/services/orchestrator/ticket-recipient.ts'
import { Activity } from '../../src/services/protocol/activity.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { Senders } from '../../src/services/protocol/senders.ts'
import { RecordingCauses } from './causes.ts'
import { FakeChain } from './chain.ts'
import { type EventHandlers, eventsTo } from './events.ts'
import { FakePayer } from './payer.ts'

/** The recipient of the tickets. */
export const ORCHESTRATOR: Address = '0x73AEd7b5dEb30222fa896f399d46cC99c7BEe57F'
/** Expected value of a ticket, in wei. */
export const EV = 8_000_000_000n
export const ETHER = 10n ** 18n

/** What a recipient of a test is made of. */
export interface RecipientNeeds
  extends Pick<TicketRecipientNeeds, 'clock' | 'dice' | 'priceBook' | 'winners' | 'causes'>,
    Partial<Pick<TicketRecipientNeeds, 'events'>> {
  readonly chain: FakeChain
  readonly store: Store
}

/** A recipient that adjusts its price unless told otherwise, and the services under it, of which none is started. */
export function recipientOn(
  { chain, store, ...needs }: RecipientNeeds,
  options: Omit<TicketRecipientOptions, 'autoAdjustPrice'> & { readonly autoAdjustPrice?: boolean },
) {
  const env = { chain, watch: chain, clock: needs.clock, log: silentLog }
  const rounds = new Rounds(env)
  const senders = new Senders({ claimant: options.recipient }, { ...env, rounds })
  const activity = new Activity({ recipient: options.recipient }, { ...env, rounds })
  const secret = new SecretRing('ticket', { secrets: store, clock: needs.clock, log: silentLog })
  const recipient = new TicketRecipient(
    { autoAdjustPrice: true, ...options },
    {
      ...{ secret, nonces: store, balances: store.sessions, prices: store.sessions, records: store },
      ...{ senders, rounds, activity, gas: chain, log: silentLog, events: eventsTo(), ...needs },
    },
  )
  return { rounds, senders, activity, secret, recipient }
}

/** A running recipient. */
export interface RecipientNode {
  readonly recipient: TicketRecipient
  readonly senders: Senders
  readonly adopted: WinningTicket[]
  stop(): Promise<void>
}

/** How a recipient's world differs from the usual. */
export interface RecipientWorldOptions extends Partial<TicketRecipientOptions> {
  /** Whether the sender signs with `QuickSigner`. */
  readonly quick?: boolean
  /** The price for all gateways; 1000 wei per pixel where absent. */
  readonly price?: PriceSource
  /** Prices agreed with single gateways. */
  readonly singlePrices?: Iterable<readonly [Address, PriceSource]>
  /** What it tells. */
  readonly events?: EventHandlers
}

/** A recipient with its own store and a chain with a funded sender; `restart` starts again from the disk. */
export async function recipientWorld(
  t: TestContext,
  { events, quick, price, singlePrices, ...options }: RecipientWorldOptions = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-recipient-'))
  const chain = new FakeChain()
  const clock = new ManualClock()
  const gateway = new FakePayer('gateway', { quick: quick ?? false })
  chain.fund(gateway.address, ETHER, ETHER)
  chain.mine()
  const causes = new RecordingCauses()
  const store = new Store({ location: join(folder, 'node.sqlite3') }, { dice: seededDice('secrets') })
  await store.open()
  const priceBook = new PriceBook(price ?? (() => Rational.of(1000n)), singlePrices)
  const start = async (): Promise<RecipientNode> => {
    const supervisor = new Supervisor()
    const adopted: WinningTicket[] = []
    const winners = { adopt: (tickets: readonly WinningTicket[]) => void adopted.push(...tickets) }
    const parts = recipientOn(
      {
        ...{ chain, clock, store, priceBook, winners, causes, dice: seededDice('seeds') },
        events: eventsTo(events),
      },
      { ...{ recipient: ORCHESTRATOR, ticketEv: EV, redeemGas: 350_000n, maxFaceValue: 0n }, ...options },
    )
    const { activity, recipient, rounds, secret, senders } = parts
    for (const service of [rounds, senders, activity, secret, recipient]) await supervisor.start(service)
    return { recipient, senders, adopted, stop: () => supervisor.stop() }
  }
  let node = await start()
  t.after(async () => {
    await node.stop()
    await store.close()
    rmSync(folder, { recursive: true })
  })
  const restart = async () => {
    await node.stop()
    node = await start()
    return node
  }
  return { chain, clock, gateway, priceBook, store, causes, node, restart, senders: () => node.senders }
}

let segments = 0

/** Sets the fee of a new segment aside that comes without a payment. */
export function reserve(
  recipient: Recipient,
  sender: Address,
  sessionId: string,
  pixels: bigint,
): Promise<Reservation> {
  const segment = intToFixedBytes(BigInt(++segments), 32)
  return recipient.admit({
    sender,
    sessionId,
    manifestId: '',
    payment: null,
    segment,
    pixels,
    lifeMs: 60_000,
  })
}
