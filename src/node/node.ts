import { join } from 'node:path'
import { DEFAULT_PEER_PORT } from '../config/addresses.ts'
import type { ChainSettings, Settings, TranscoderSettings } from '../config/settings.ts'
import { capability } from '../domain/capabilities.ts'
import { accountNeedsOf, dutiesOf, recipientOf, withoutDataFolder } from '../domain/duties.ts'
import { ChainClient, connectChain } from '../io/chain/client.ts'
import { Rpc } from '../io/chain/rpc.ts'
import { openWallet, type Prompt } from '../io/chain/wallet.ts'
import { ConsoleLogin } from '../io/http/console-login.ts'
import { ControlApi } from '../io/http/control-api.ts'
import { LiveEvents } from '../io/http/live-events.ts'
import { ConfinedTryOuts } from '../io/media/engine/confined-try-outs.ts'
import { countNvidiaGpus, lookAtMachine, tryOutInProcess } from '../io/media/engine/hardware.ts'
import { tellDriver } from '../io/media/engine/nvidia-driver.ts'
import { Sandbox } from '../io/media/sandbox/sandbox.ts'
import { OrchestratorClient } from '../io/rpc/orchestrator-client.ts'
import type { ManagerVariables, ServiceManager } from '../io/systemd/service-manager.ts'
import { type Address, keccak256, recoverSigner } from '../lib/crypto.ts'
import { messageOf } from '../lib/errors.ts'
import { hostAndPort } from '../lib/hosts.ts'
import type { Log, LogLevel } from '../lib/log.ts'
import { Supervisor } from '../lib/service.ts'
import { NodeAlertFacts } from './alert-facts.ts'
import { alertsOf } from './alerts.ts'
import type { NodeProgress } from './control/context.ts'
import { ControlLog } from './control/control-log.ts'
import { LiveSettings } from './control/live-settings.ts'
import { controlRoutes } from './control/routes.ts'
import { openDataDir } from './data-dir.ts'
import { Drain } from './drain.ts'
import type { Environment } from './environment.ts'
import { nodeIdIn } from './node-id.ts'
import type { ChainAccess } from './parts/chain.ts'
import { Parts } from './parts.ts'
import { readingsOf } from './readings.ts'
import { servicesOf } from './roles.ts'
import { serviceAddress } from './service-address.ts'
import { StatusFacts } from './status/facts.ts'

/** How long a node at the registered address may take to answer, before this one starts there. */
const PING_MS = 2_000

/** What running a node takes from outside, beside what its parts are given. */
export interface NodeEnvironment extends Environment {
  /** Asks for a password at the terminal; null where there is none. */
  readonly prompt: Prompt | null
  /** Aborted when the node is to finish its work for others, and end. */
  readonly drain?: AbortSignal
  /** How systemd asks to be told of this node; absent where it does not. */
  readonly systemd?: ManagerVariables | null
  /** Changes how much is logged; absent: the log has one level. */
  setLogLevel?(level: LogLevel): void
  /** The commit that the program is made of; null or absent where that is not known. */
  readonly commit?: string | null
}

/**
 * Runs a node until the signal is aborted, and stops it in order. A node that has not started yet has nothing to drain:
 * either signal ends it, whatever its start waits for. Throws what prevents its start, and the failure of any of its
 * services later on; the message is for the operator. Returns false if it was stopped before it had started: what its start
 * was waiting for may then go on until the process ends.
 */
export async function runNode(wanted: Settings, env: NodeEnvironment, signal: AbortSignal): Promise<boolean> {
  const { commit, log, version } = env
  const about = { version, ...(commit ? { commit } : {}) }
  log.info('starting livepeer-ts', { ...about, network: wanted.network.name, ...wanted.printable() })
  for (const warning of wanted.warnings) log.warn(warning)
  const manager = await openManager(env)
  const progress: NodeProgress = { waitingFor: null, hasStarted: false, running: null }
  const waitFor = (what: string | null) => {
    progress.waitingFor = what
    manager?.status(what === null ? 'ready' : `waits for ${what}`)
  }
  waitFor(wanted.chain ? 'the account and the chain' : 'its parts to be made')
  const halt = AbortSignal.any([signal, ...(env.drain ? [env.drain] : [])])
  // Closed last: services may call the chain until they have stopped.
  using connections = new DisposableStack()
  await using supervisor = new Supervisor()
  if (manager) await supervisor.start(manager)
  const partsOf = () => (progress.hasStarted ? (progress.running?.parts ?? null) : null)
  const drain = new Drain({ parts: partsOf, waitFor, signal, log })
  const starting = startNode(wanted, env, { connections, drain, progress, supervisor, waitFor }, halt)
  const hasStarted = (await Promise.race([starting, untilAborted(halt)])) !== null
  if (!hasStarted) {
    starting.catch(() => {})
    manager?.stopping()
    log.info('stopping before it has started', { waitedFor: progress.waitingFor })
    return false
  }
  manager?.ready()
  await supervisor.untilStopped(halt)
  manager?.stopping()
  if (!signal.aborted) await drain.finish()
  waitFor('its services to stop')
  log.info('stopping')
  return true
}

/** What a start fills in as it goes. */
interface Start {
  readonly connections: DisposableStack
  readonly drain: Drain
  readonly progress: NodeProgress
  readonly supervisor: Supervisor
  readonly waitFor: (what: string | null) => void
}

/** Makes the parts and starts them in order. Resolves to null when it was called off. */
async function startNode(
  wanted: Settings,
  env: NodeEnvironment,
  { connections, drain, progress, supervisor, waitFor }: Start,
  halt: AbortSignal,
): Promise<Parts | null> {
  const { clock, log, version } = env
  const settings = await withDataDir(wanted, log)
  const nodeId = settings.store ? { nodeId: await nodeIdIn(settings.dataDir, env.dice) } : {}
  const { chain: chainSettings, controlBind, controlHosts, secrets } = settings
  // Starts first, so that a node that has not started yet shows what it waits for.
  const changes = new ControlLog({ clock, log, progress })
  const events = new LiveEvents({ clock })
  const login = new ConsoleLogin(secrets.controlToken, { clock })
  const routes = controlRoutes(
    { progress, settings, version, clock, drain, changes },
    { live: events, login },
  )
  const onChange = changes.add.bind(changes)
  const asked = { token: secrets.controlToken, showsCookie: (cookies?: string) => login.shows(cookies) }
  await supervisor.start(
    new ControlApi({ ...controlBind, hosts: controlHosts, ...asked }, { routes, onChange, log }),
  )
  await supervisor.start(events)

  const runsWorkers = !env.media && dutiesOf(settings).handlesMedia
  const sandbox = runsWorkers ? await Sandbox.open({ mode: settings.mediaSandbox, log }) : null
  if (halt.aborted) return null
  const access = chainSettings
    ? await openChain(settings, chainSettings, { ...env, connections }, halt)
    : null
  if (halt.aborted) return null
  const machine = sandbox ? await inspectMachine(settings.transcoder, { log, sandbox, signal: halt }) : {}
  if (halt.aborted) return null
  const reachable = await withServiceAddress(settings, access, env, halt)
  if (halt.aborted) return null
  const parts = new Parts(reachable, access, { ...env, ...machine, ...nodeId })
  const facts = new StatusFacts(parts, env)
  // One for both, so that the metric says what is told.
  const alertFacts = new NodeAlertFacts(parts, facts)
  parts.core.metrics?.observe(readingsOf(parts, facts, alertFacts))
  parts.core.env.events.listen((event) => events.hear(event))
  await supervisor.start(parts.core.env.causes)
  await supervisor.start(parts.core.eventLog)
  const live = new LiveSettings(parts, { clock, log, setLogLevel: env.setLogLevel })
  progress.running = { parts, facts, live }
  for (const service of servicesOf(parts)) {
    if (halt.aborted) return null
    waitFor(`${service.name} to start`)
    await supervisor.start(service)
    if (service === parts.core.store) await live.restore()
    log.debug('started', { service: service.name })
  }
  if (halt.aborted) return null
  const alerts = alertsOf(parts, alertFacts, { hasStore: live.hasStore })
  if (alerts) await supervisor.start(alerts)
  waitFor(null)
  progress.hasStarted = true
  log.info('ready', { control: hostAndPort(controlBind.host, controlBind.port) })
  return parts
}

/** Null where systemd does not ask to be told, or cannot be. */
async function openManager({ clock, log, systemd }: NodeEnvironment): Promise<ServiceManager | null> {
  if (!systemd) return null
  try {
    // Loaded only here: it takes a library of its own.
    const { ServiceManager } = await import('../io/systemd/service-manager.ts')
    return new ServiceManager(systemd, { clock, log, pid: process.pid })
  } catch (error) {
    log.warn('systemd cannot be told of this node', { reason: messageOf(error) })
    return null
  }
}

function untilAborted(signal: AbortSignal): Promise<null> {
  if (signal.aborted) return Promise.resolve(null)
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
}

/** Opens the data folder. A gateway keeps nothing that matters, and runs without one where it cannot be opened. */
async function withDataDir(settings: Settings, log: Log): Promise<Settings> {
  try {
    await openDataDir(settings.dataDir)
    return settings
  } catch (error) {
    if (!dutiesOf(settings).mayKeepNothing) throw error
    log.warn('data folder not usable, the gateway runs without it and keeps nothing', {
      error: messageOf(error),
    })
    return withoutDataFolder(settings)
  }
}

/**
 * Finds out, in the sandbox, what this machine's cores and GPUs can transcode, and logs what the operator may not expect.
 * A gateway only needs the sandbox.
 */
async function inspectMachine(
  settings: TranscoderSettings | null,
  { log, sandbox, signal }: { log: Log; sandbox: Sandbox; signal: AbortSignal },
): Promise<Pick<Environment, 'machine' | 'sandbox'>> {
  if (!settings) return { sandbox: { ofCores: sandbox, ofGpus: sandbox } }
  const { gpus, hevcDecoding, triesGpus } = settings
  const tryOuts = new ConfinedTryOuts({
    ...{ log, sandbox },
    tryOut: (device, within) => tryOutInProcess(device, { sandbox: within, signal }),
  })
  const machine = await lookAtMachine(
    { gpus, isTried: triesGpus },
    { log, tryOut: (device) => tryOuts.tryOut(device), countGpus: countNvidiaGpus, tellDriver },
  )
  if (hevcDecoding === true && !machine.cores.capabilities.includes(capability.hevcDecode))
    log.warn('-hevcDecoding is set, but decoding HEVC failed when it was tried: it is not offered')
  return { machine, sandbox: { ofCores: sandbox, ofGpus: tryOuts.gpuSandbox } }
}

/** Unlocks the account and looks up the contracts. Waits a while for a chain that does not answer. */
async function openChain(
  settings: Settings,
  { urls, controller, keystorePath, account }: ChainSettings,
  env: NodeEnvironment & { readonly connections: DisposableStack },
  signal: AbortSignal,
): Promise<ChainAccess> {
  const wallet = await openWallet(
    {
      keystoreDirectory: join(settings.dataDir, 'keystore'),
      keystorePath,
      address: account,
      password: settings.secrets.ethPassword === '' ? null : settings.secrets.ethPassword,
      newAccountNeeds: accountNeedsOf(dutiesOf(settings)),
    },
    env,
  )
  const expected = settings.network.chainId
  const rpc = env.connections.use(
    new Rpc({ urls, chainId: expected === null ? null : Number(expected) }, env),
  )
  const { chainId, addresses } = await connectChain({ ...env, rpc }, controller, signal)
  env.log.info('connected to the chain', { chainId, account: wallet.address, controller })
  return { wallet, rpc, chainId: BigInt(chainId), addresses }
}

/** Fills in the address where gateways reach an orchestrator: that of its settings, or the one registered on chain. */
async function withServiceAddress(
  settings: Settings,
  access: ChainAccess | null,
  { dice, log }: Environment,
  signal: AbortSignal,
): Promise<Settings> {
  if (!settings.orchestrator || !access) return settings
  const { address: account } = access.wallet
  const { host, port } = settings.orchestrator.bind
  const listensAt = hostAndPort(host === '' ? '*' : host, port ?? DEFAULT_PEER_PORT)
  const service = await serviceAddress(
    settings.orchestrator.service,
    {
      account,
      orchestrator: recipientOf(settings, account),
      isPublic: settings.network.public,
      isInCluster: settings.store !== null,
      listensAt,
    },
    {
      log,
      answeringAt: (url) => accountAt(url, dice.bytes(32), signal),
      registeredUri: async (address) => (await new ChainClient(access).orchestrator(address)).serviceUri,
    },
  )
  return { ...settings, orchestrator: { ...settings.orchestrator, service } }
}

/** The account of the node that answers at a URL, which signs `value`; null where none answers soon. */
async function accountAt(url: string, value: Uint8Array, signal: AbortSignal): Promise<Address | null> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PING_MS)])
    const answer = await new OrchestratorClient().ping(url, value, limit)
    return recoverSigner(keccak256(value), answer)
  } catch {
    return null
  }
}
