import { hostname } from 'node:os'
import type { OrchestratorSettings, RedeemerSettings } from '../../config/settings.ts'
import { redeemingRank } from '../../domain/duties.ts'
import { RedemptionReader } from '../../io/chain/redemption-reader.ts'
import { TicketRedemption } from '../../io/chain/ticket-redemption.ts'
import { RedeemerClient } from '../../io/rpc/redeemer-client.ts'
import { RedeemerEndpoint } from '../../io/rpc/redeemer-endpoint.ts'
import { Endpoint } from '../../io/rpc/server.ts'
import { readGoTicketQueue } from '../../io/store/go-ticket-queue.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Service } from '../../lib/service.ts'
import type { Leadership } from '../../services/cluster/leadership.ts'
import type { Senders } from '../../services/protocol/senders.ts'
import { EtherCheck } from '../../services/redemption/ether-check.ts'
import { LedRedeemer } from '../../services/redemption/led-redeemer.ts'
import { OpenTickets } from '../../services/redemption/open-tickets.ts'
import { Redeemer } from '../../services/redemption/redeemer.ts'
import { RedeemerDesk } from '../../services/redemption/redeemer-desk.ts'
import { RedeemerOutbox } from '../../services/redemption/redeemer-outbox.ts'
import { RedeemerPeers } from '../../services/redemption/redeemer-peers.ts'
import { RemoteFloat } from '../../services/redemption/remote-float.ts'
import { TicketImport } from '../../services/redemption/ticket-import.ts'
import type { ChainParts } from './chain.ts'
import type { Core } from './core.ts'
import type { LeaderParts } from './leaders.ts'

/** A redeemer has a stream for each sender of each orchestrator, all of one orchestrator over one connection. */
const REDEEMER_STREAMS = 20_000
/** The leases of the node that redeems for a cluster, and of the one that redeems what that one leaves. */
const REDEEM = 'redeem'
const REDEEM_LATE = 'redeem late'
/** Many times what a ticket takes on the wire. */
const MAX_TICKET_BYTES = 16 * 1024

/** What becomes of winning tickets: this account redeems them, or they are handed to a redeemer. */
export type Winners = RedeemingParts | HandingOverParts

/** The redemption of winning tickets with this node's account, in an orchestrator or a redeemer. */
export class RedeemingParts {
  readonly senders: Senders
  /** The senders' max floats, as this node sees them on chain. */
  readonly floats: Senders
  /** Keeps winning tickets until they are redeemed. */
  readonly keeper: Redeemer | LedRedeemer
  /** The election of the node that redeems for a cluster; null where this node shares no store. */
  readonly leads: Leadership | null
  readonly services: readonly Service[]

  constructor(core: Core, chain: ChainParts) {
    const { env, store } = core
    const { account, client, gas } = chain
    this.senders = chain.sendersFor(chain.recipient)
    this.floats = this.senders
    const { keeper, leads, services } = chain.leaders
      ? ledRedeemer(core, chain, { leaders: chain.leaders, senders: this.senders })
      : ownRedeemer(core, chain, this.senders)
    this.keeper = keeper
    this.leads = leads
    const balance = () => client.ethBalance(account)
    const { redeemGas } = chain.settings
    const check = new EtherCheck(
      { account, redeemGas },
      { ...env, balance, gas, redeemer: keeper, isNeeded: () => isRedeemer(core, chain) },
    )
    this.services = [
      ...[gas, store, ...ticketImport(core, chain), ...chain.following],
      ...[this.senders, ...chain.sending, ...services, check],
    ]
  }
}

/** Whether it falls to this node to redeem; in a cluster with redeemers it does not fall to orchestrators. */
function isRedeemer({ duties }: Core, { leaders, member }: ChainParts): boolean {
  return leaders === null || redeemingRank(duties, member?.hasRedeemer() ?? false) !== null
}

/** A redeemer with its service list, in the order of starting. */
interface Keeper<Kind> {
  readonly keeper: Kind
  readonly leads: Leadership | null
  readonly services: readonly Service[]
}

function ownRedeemer({ env, settings, store }: Core, chain: ChainParts, senders: Senders): Keeper<Redeemer> {
  const { account, client, gas, rounds, transactions, watch } = chain
  const redemption = new TicketRedemption({ ...env, client, transactions, account })
  const keeper = new Redeemer(
    {
      ...{ ...env, tickets: store, nonces: store, chain: redemption },
      ...{ watch, rounds, senders, gas },
    },
    { afterMs: settings.redeemer?.redeemAfterMs ?? 0 },
  )
  return { keeper, leads: null, services: [keeper] }
}

/** The redeemer of a cluster: one of its nodes redeems, for all of them. */
function ledRedeemer(
  { duties, env, settings, store }: Core,
  chain: ChainParts,
  { leaders, senders }: { leaders: LeaderParts; senders: Senders },
): Keeper<LedRedeemer> {
  const { account, client, gas, rounds, transactions, watch } = chain
  const leads = leaders.leadershipOf(duties.redeemsLate ? REDEEM_LATE : REDEEM, () =>
    redeemingRank(duties, chain.member?.hasRedeemer() ?? false),
  )
  const openTickets = new OpenTickets({ ...env, tickets: store, senders, rounds })
  // The open tickets are counted already, those of all nodes.
  const counted = { currentFunds: (sender: Address) => senders.currentFunds(sender), addPending: () => {} }
  const ofTerm = (epoch: bigint) => {
    const records = leaders.recordsOf(leads, epoch)
    const redemption = new TicketRedemption({ ...env, client, transactions, account })
    return new Redeemer(
      {
        ...{ ...env, tickets: records, nonces: records, chain: redemption },
        ...{ watch, rounds, senders: counted, gas },
      },
      { afterMs: settings.redeemer?.redeemAfterMs ?? 0 },
    )
  }
  const keeper = new LedRedeemer({ ...env, leads, ofTerm, openTickets, tickets: store })
  return { keeper, leads, services: [openTickets, leads, keeper] }
}

/** The hand-over of winning tickets from an orchestrator to the redeemers of its settings. */
export class HandingOverParts {
  readonly senders: Senders
  /** The senders' max floats, as a redeemer reports them. */
  readonly floats: RemoteFloat
  readonly redeemers: RedeemerPeers
  /** Keeps winning tickets until a redeemer has redeemed them. */
  readonly keeper: RedeemerOutbox
  readonly services: readonly Service[]

  constructor(core: Core, settings: OrchestratorSettings, chain: ChainParts) {
    const { env, store } = core
    const { client, recipient, rounds, watch } = chain
    const { redeemerSecret: secret } = core.settings.secrets
    const connections = settings.redeemers.map(
      (url) => new RedeemerClient({ url, secret, recipient, own: core.ownCerts }),
    )
    const redeemers = new RedeemerPeers({ probed: recipient }, { ...env, connections })
    const senders = chain.sendersFor(recipient)
    const reader = new RedemptionReader({ client, account: null })
    this.redeemers = redeemers
    this.senders = senders
    this.keeper = new RedeemerOutbox({
      ...{ ...env, tickets: store, redeemers, chain: reader },
      ...{ watch, rounds, senders },
    })
    this.floats = new RemoteFloat({ ...env, redeemers, senders })
    this.services = [
      ...[...chain.following, ...ticketImport(core, chain)],
      ...[redeemers, senders, this.keeper, this.floats],
    ]
  }
}

/** A redeemer's port for orchestrators in other processes. */
export class RedeemerParts {
  readonly desk: RedeemerDesk
  readonly services: readonly Service[]

  constructor(core: Core, settings: RedeemerSettings, chain: ChainParts, redeeming: RedeemingParts) {
    const { env } = core
    const {
      client,
      gas,
      recipient,
      rounds,
      settings: { redeemGas },
    } = chain
    const { keeper: redeemer, senders } = redeeming
    const reads = new RedemptionReader({ client, account: null })
    const needs = { ...env, chain: reads, gas, redeemer, rounds, senders }
    this.desk = new RedeemerDesk({ recipient, redeemGas }, needs)
    const { host, port } = settings.bind
    const { redeemerSecret: secret } = core.settings.secrets
    const ownOnly = core.ownCerts !== null
    const limits = { maxStreams: REDEEMER_STREAMS, maxMessageBytes: MAX_TICKET_BYTES }
    const endpoint = new Endpoint(
      { name: 'redeemer', host, port, tls: core.tlsFor(host === '' ? hostname() : host), ...limits },
      { ...env, routes: [new RedeemerEndpoint({ secret, recipient, ownOnly }, { ...env, api: this.desk })] },
    )
    this.services = [...redeeming.services, ...chain.registrationAt(''), this.desk, endpoint]
  }
}

/** The import of a Go node's open tickets, which comes before the tickets are read; none unless the settings ask for it. */
function ticketImport({ env, settings, store }: Core, { recipient }: ChainParts): TicketImport[] {
  const path = settings.importTicketQueue
  if (path === null) return []
  return [new TicketImport({ recipient }, { ...env, read: () => readGoTicketQueue(path), tickets: store })]
}
