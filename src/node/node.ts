import { join } from 'node:path'
import type { ChainSettings, Settings, TranscoderSettings } from '../config/settings.ts'
import { capability } from '../domain/capabilities.ts'
import { dutiesOf, recipientOf, withoutDataFolder } from '../domain/duties.ts'
import { ChainClient, connectChain } from '../io/chain/client.ts'
import { Rpc } from '../io/chain/rpc.ts'
import { openWallet, type Prompt } from '../io/chain/wallet.ts'
import { ControlApi } from '../io/http/control-api.ts'
import { ConfinedTryOuts } from '../io/media/engine/confined-try-outs.ts'
import { countNvidiaGpus, lookAtMachine, tryOutInProcess } from '../io/media/engine/hardware.ts'
import { tellDriver } from '../io/media/engine/nvidia-driver.ts'
import { Sandbox } from '../io/media/sandbox/sandbox.ts'
import { isAbort, messageOf } from '../lib/errors.ts'
import { hostAndPort } from '../lib/hosts.ts'
import type { Log } from '../lib/log.ts'
import { Supervisor } from '../lib/service.ts'
import { controlRoutes, type NodeProgress } from './control-routes.ts'
import { openDataDir } from './data-dir.ts'
import type { Environment } from './environment.ts'
import type { ChainAccess } from './parts/chain.ts'
import { Parts } from './parts.ts'
import { readingsOf } from './readings.ts'
import { servicesOf } from './roles.ts'
import { serviceAddress } from './service-address.ts'
import { StatusFacts } from './status/facts.ts'

/** What running a node takes from outside, beside what its parts are given. */
export interface NodeEnvironment extends Environment {
  /** Asks for a password at the terminal; null where there is none. */
  readonly prompt: Prompt | null
  /** Aborted when the node is to finish its work for others, and end. */
  readonly drain?: AbortSignal
  /** Called once everything has started: frees the memory that only the start needed. */
  tidyUp?(): void
}

/**
 * Runs a node until the signal is aborted, and stops it in order. Throws what prevents its start, and the failure of any
 * of its services later on; the message is for the operator.
 */
export async function runNode(wanted: Settings, env: NodeEnvironment, signal: AbortSignal): Promise<void> {
  const { clock, log, version } = env
  log.info('starting livepeer-ts', { version, network: wanted.network.name, ...wanted.printable() })
  for (const warning of wanted.warnings) log.warn(warning)
  const settings = await withDataDir(wanted, log)
  const { chain: chainSettings, controlBind, metrics, secrets } = settings

  const progress: NodeProgress = {
    waitingFor: chainSettings ? 'the account and the chain' : 'its parts to be made',
    hasStarted: false,
    running: null,
  }
  // Closed last: services may call the chain until they have stopped.
  using connections = new DisposableStack()
  await using supervisor = new Supervisor()
  // Starts first, so that a node that has not started yet shows what it waits for.
  const routes = controlRoutes(progress, { version, clock, hasMetrics: metrics.enabled })
  await supervisor.start(new ControlApi({ ...controlBind, token: secrets.controlToken }, { routes, log }))

  const runsWorkers = !env.media && dutiesOf(settings).handlesMedia
  const sandbox = runsWorkers ? await Sandbox.open({ mode: settings.mediaSandbox, log }) : null
  if (signal.aborted) return
  const access = chainSettings
    ? await openChain(settings, chainSettings, { ...env, connections }, signal)
    : null
  if (signal.aborted) return
  const machine = sandbox ? await inspectMachine(settings.transcoder, { log, sandbox, signal }) : {}
  if (signal.aborted) return
  const reachable = await withServiceAddress(settings, access, log)
  const parts = new Parts(reachable, access, { ...env, ...machine })
  const facts = new StatusFacts(parts, env)
  parts.core.metrics?.observe(readingsOf(parts, facts))
  progress.running = { parts, facts }
  for (const service of servicesOf(parts)) {
    if (signal.aborted) return
    progress.waitingFor = `${service.name} to start`
    await supervisor.start(service)
    log.debug('started', { service: service.name })
  }
  env.tidyUp?.()
  progress.waitingFor = null
  progress.hasStarted = true
  log.info('ready', { control: hostAndPort(controlBind.host, controlBind.port) })
  await supervisor.untilStopped(AbortSignal.any([signal, ...(env.drain ? [env.drain] : [])]))
  if (!signal.aborted) {
    // Health turns red first, so that balancers send no new work here.
    progress.waitingFor = 'running work to finish'
    log.info('draining: no new sessions, finishing running ones')
    await parts.drain(signal).catch((error) => {
      if (!signal.aborted || !isAbort(error)) throw error
    })
  }
  progress.waitingFor = 'its services to stop'
  log.info('stopping')
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
  log: Log,
): Promise<Settings> {
  if (!settings.orchestrator || !access) return settings
  const { address: account } = access.wallet
  const service = await serviceAddress(
    settings.orchestrator.service,
    { account, orchestrator: recipientOf(settings, account), isPublic: settings.network.public },
    {
      log,
      registeredUri: async (address) => (await new ChainClient(access).orchestrator(address)).serviceUri,
    },
  )
  return { ...settings, orchestrator: { ...settings.orchestrator, service } }
}
