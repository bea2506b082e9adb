import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Settings } from '../../config/settings.ts'
import { type Duties, dutiesOf, maxSessionsOf, recipientOf } from '../../domain/duties.ts'
import { Metrics, nodeTypeOf } from '../../io/http/metrics.ts'
import { profilesLabel } from '../../io/http/metrics-segments.ts'
import { reportersOf } from '../../io/http/metrics-table.ts'
import { MediaEngine } from '../../io/media/engine/engine.ts'
import { workersFor } from '../../io/media/engine/hardware.ts'
import { OrchestratorClient } from '../../io/rpc/orchestrator-client.ts'
import { expiryWarning, type OwnCerts, readOwnCerts } from '../../io/rpc/own-certs.ts'
import { IN_MEMORY } from '../../io/store/open.ts'
import { Store, type StoreOptions } from '../../io/store/store.ts'
import type { ClusterIdentity } from '../../io/store/store-binding.ts'
import { noSigner, type Signer } from '../../lib/crypto.ts'
import type { Scope } from '../../lib/service.ts'
import { Offenders } from '../../services/transcoding/offenders.ts'
import { CauseBook } from '../cause-book.ts'
import type { Environment, Media } from '../environment.ts'
import { EventLog } from '../event-log.ts'
import { EventStream } from '../event-stream.ts'
import { RewardHistory } from '../reward-history.ts'
import { Totals } from '../status/totals.ts'
import type { ChainAccess } from './chain.ts'

/** Differs from the Go node's file, so an operator can go back to that node and its own database. */
const DATABASE_FILE = 'livepeer-ts.sqlite3'
/** What an orchestrator takes while the database of its cluster is away. */
const JOURNAL_FILE = 'store-journal'
/** A charge for a segment waits this long for the next payment, to share its commit. */
const DEBIT_PATIENCE_MS = 50
/** Stands for the contracts and the orchestrator of a cluster without a chain. */
const OFFCHAIN = 'offchain'

/** The parts that any role may use. A role lists those that it needs started. */
export class Core {
  readonly settings: Settings
  readonly duties: Duties
  readonly env: Environment & { readonly events: EventStream; readonly causes: CauseBook }
  /** Null offchain. */
  readonly access: ChainAccess | null
  readonly signer: Signer
  readonly store: Store
  /** What metrics and events call this node: its account and host (operations.md §6). */
  readonly nodeName: string
  /** Null without `-monitor`. */
  readonly metrics: Metrics | null
  readonly totals = new Totals()
  readonly eventLog: EventLog
  readonly client = new OrchestratorClient()
  /** `-maxSessions`; an operator may change it while the node runs. */
  readonly limits: { maxSessions: Settings['maxSessions'] }
  #media: Media | null = null
  #ownCerts: OwnCerts | null | undefined

  constructor(settings: Settings, access: ChainAccess | null, env: Environment) {
    this.settings = settings
    this.duties = dutiesOf(settings)
    this.limits = { maxSessions: settings.maxSessions }
    const events = new EventStream(env)
    const causes = new CauseBook({ ...env, events })
    this.env = { ...env, events, causes }
    this.access = access
    this.signer = access?.wallet ?? noSigner
    this.store = new NodeStore(settings, access, this.env)
    this.nodeName = access ? `${access.wallet.address}-${hostname()}` : hostname()
    const { nodeName } = this
    this.metrics = settings.metrics.enabled
      ? newMetrics(settings, this.duties, { access, env, nodeName })
      : null
    events.listen((event) => this.store.hear(event))
    const rewards = new RewardHistory({ ...this.env, records: this.store.records })
    events.listen((event) => rewards.hear(event))
    events.listen((event) => this.metrics?.hear(event))
    events.listen((event) => this.totals.hear(event))
    this.eventLog = new EventLog({ ...this.env, roles: settings.roles, isOnChain: access !== null })
    events.listen((event) => this.eventLog.hear(event))
  }

  /** The media engine, or its stand-in. Made when it is first asked for: not every node handles media. */
  get media(): Media {
    this.#media ??= this.env.media ?? newEngine(this.settings, this.env)
    return this.#media
  }

  /**
   * The certificates by which the operator's nodes know one another; null where none are used. Read from disk when they
   * are first asked for. Throws NodeError.
   */
  get ownCerts(): OwnCerts | null {
    if (this.#ownCerts === undefined) this.#ownCerts = this.#readOwnCerts()
    return this.#ownCerts
  }

  /** How a port for peers is encrypted: with the operator's certificates, or one of its own for this host name. */
  tlsFor(host: string): { own: OwnCerts } | { hostname: string; directory: string } {
    const own = this.ownCerts
    return own ? { own } : { hostname: host, directory: this.settings.dataDir }
  }

  /** The sessions, or streams, to take at once, given what transcoders can take. */
  maxSessionsFor(capacity: number): number {
    return maxSessionsOf({ ...this.settings, maxSessions: this.limits.maxSessions }, capacity)
  }

  #readOwnCerts(): OwnCerts | null {
    const { certs } = this.settings
    if (certs === null) return null
    const own = readOwnCerts(certs, this.env)
    const warning = expiryWarning(own, this.env.clock.now())
    if (warning) this.env.log.warn(warning)
    return own
  }
}

/** The node's store; its start refuses a database that belongs to another chain or cluster. */
class NodeStore extends Store {
  readonly #chainId: bigint
  readonly #cluster: ClusterIdentity | null

  constructor(settings: Settings, access: ChainAccess | null, env: Environment) {
    super({ ...placeOf(settings, env), debitPatienceMs: DEBIT_PATIENCE_MS }, env)
    this.#chainId = access?.chainId ?? 0n
    this.#cluster = settings.store && clusterOf(settings, access)
  }

  override async start(scope: Scope): Promise<void> {
    await super.start(scope)
    await this.bindChain(this.#chainId)
    if (this.#cluster) await this.bindCluster(this.#cluster)
  }
}

function placeOf(settings: Settings, { nodeId }: Environment): StoreOptions {
  const { dataDir, keepsNothing, secrets, store } = settings
  if (store) {
    const grace = store.grace && { ...store.grace, path: join(dataDir, JOURNAL_FILE) }
    const own = { ...(nodeId ? { node: nodeId } : {}), ...(grace ? { grace } : {}) }
    return { location: secrets.storeUrl, schema: store.schema, ...own }
  }
  return { location: keepsNothing ? IN_MEMORY : join(dataDir, DATABASE_FILE), sqliteSync: 'thread' }
}

function clusterOf(settings: Settings, access: ChainAccess | null): ClusterIdentity {
  if (!access || !settings.chain) return { controller: OFFCHAIN, recipient: OFFCHAIN }
  return {
    controller: settings.chain.controller,
    recipient: recipientOf(settings, access.wallet.address),
  }
}

function newMetrics(
  settings: Settings,
  duties: Duties,
  { access, env, nodeName }: { access: ChainAccess | null; env: Environment; nodeName: string },
): Metrics {
  const { gateway, metrics: flags, orchestrator, roles } = settings
  return new Metrics(
    {
      ...{ nodeId: nodeName, nodeType: nodeTypeOf(roles), flags },
      reporters: reportersOf({ roles, duties, isOnChain: access !== null }),
      known: {
        ...(gateway && { profiles: [profilesLabel(gateway.profiles.map(({ name }) => name))] }),
        ...(orchestrator && { redeemer: orchestrator.redeemers.map((url) => new URL(url).host) }),
      },
    },
    env,
  )
}

function newEngine(
  { transcoder }: Settings,
  { clock, cpus: cores, log, machine, sandbox }: Environment,
): MediaEngine {
  const devices = machine?.devices ?? []
  const workers = workersFor(cores, devices)
  const sandboxes = { sandbox: sandbox?.ofCores, gpuSandbox: sandbox?.ofGpus }
  const offenders = new Offenders({ clock, log: log.child({ part: 'media' }) })
  // A gateway mostly looks at segments, which takes one worker milliseconds; each keeps tens of megabytes.
  const growsOnDemand = transcoder === null
  return new MediaEngine({ clock, log, offenders, cores, devices, workers, growsOnDemand, ...sandboxes })
}
