import { join } from 'node:path'
import type { Settings, TranscoderSettings } from '../config/settings.ts'
import { capability } from '../domain/capabilities.ts'
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
import { openDataDir } from './data-dir.ts'
import { type ChainAccess, Parts, type Surroundings } from './parts.ts'
import { roles } from './roles.ts'
import { serviceAddress } from './service-address.ts'
import { StatusFacts } from './status/facts.ts'
import { statusOf } from './status/status.ts'

/** What else running a node takes, beside what its parts are given. */
export interface NodeSurroundings extends Surroundings {
  /** Asks for a password at the terminal; null where there is none. */
  readonly prompt: Prompt | null
  /** Aborted when the node is to finish what it does for others, and end. */
  readonly drain?: AbortSignal
  /** Called once all is started: gives back the memory that only the start took. */
  tidyUp?(): void
}

/**
 * Runs a node until the signal is aborted, and stops it in order. Throws what keeps it from starting, and the failure
 * of any of its parts later on: the message is for the operator.
 */
export async function runNode(
  wanted: Settings,
  around: NodeSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const { log } = around
  log.info('livepeer-ts starts', {
    version: around.version,
    network: wanted.network.name,
    ...wanted.printable(),
  })
  for (const warning of wanted.warnings) log.warn(warning)
  const settings = await withDataDir(wanted, log)

  let parts: Parts | null = null
  let facts: StatusFacts | null = null
  let hasStarted = false
  let waitingFor: string | null = settings.chain ? 'the account and the chain' : 'the start of its parts'
  // Closed last: services may ask until they have stopped.
  using connections = new DisposableStack()
  await using supervisor = new Supervisor()
  // First, so that one can see what a node that has not started yet is waiting for.
  const routes = {
    '/status': async () => {
      const progress = { version: around.version, nowMs: around.clock.now(), waitingFor, hasStarted }
      return { json: await statusOf(parts && facts && { parts, facts }, progress) }
    },
    '/metrics': async () =>
      settings.metrics.enabled && parts ? parts.metrics.text() : { text: METRICS_OFF },
    '/healthz': () => {
      const reason = waitingFor ?? parts?.unready ?? null
      return reason === null ? { text: '' } : { text: `not ready, waits for ${reason}\n`, status: 503 }
    },
  }
  await supervisor.start(
    new ControlApi({ ...settings.controlBind, token: settings.secrets.controlToken }, { routes, log }),
  )

  const doesMedia = !around.media && (settings.transcoder !== null || settings.gateway !== null)
  const sandbox = doesMedia ? await Sandbox.open({ mode: settings.mediaSandbox, log }) : null
  if (signal.aborted) return
  const chain = settings.chain ? await openChain(settings, { ...around, connections }, signal) : null
  if (signal.aborted) return
  const media = sandbox ? await lookAt(settings.transcoder, { log, sandbox, signal }) : {}
  if (signal.aborted) return
  parts = new Parts(await withServiceAddress(settings, chain, log), chain, { ...around, ...media })
  for (const role of settings.roles) roles[role](parts)
  // Whatever else a node does: its account may be the orchestrator's (operations.md §2.4).
  if (parts.rewards) void parts.reward
  facts = new StatusFacts(parts, around)
  for (const reading of facts.readings()) parts.metrics.observe(reading)
  for (const service of parts.services) {
    if (signal.aborted) return
    waitingFor = `the start of: ${service.name}`
    await supervisor.start(service)
    log.debug('started', { service: service.name })
  }
  around.tidyUp?.()
  waitingFor = null
  hasStarted = true
  log.info('ready', { control: hostAndPort(settings.controlBind.host, settings.controlBind.port) })
  await supervisor.untilStopped(AbortSignal.any([signal, ...(around.drain ? [around.drain] : [])]))
  if (!signal.aborted) {
    // Health turns red first, so that balancers send nobody here any more.
    waitingFor = 'its end: it is draining'
    log.info('draining: no new sessions, running ones are finished')
    await parts.drain(signal).catch((error) => {
      if (!signal.aborted || !isAbort(error)) throw error
    })
  }
  waitingFor = 'its end: it is stopping'
  log.info('stopping')
}

/** Opens the data folder. A gateway keeps nothing that matters, and goes on without one. */
async function withDataDir(settings: Settings, log: Log): Promise<Settings> {
  try {
    await openDataDir(settings.dataDir)
    return settings
  } catch (error) {
    if (settings.roles.size !== 1 || !settings.roles.has('gateway')) throw error
    log.warn('the gateway starts without its data folder, and keeps nothing', { error: messageOf(error) })
    // What it would send could not be taken up again after a restart.
    const chain = settings.chain && { ...settings.chain, reward: 'off' as const }
    return { ...settings, chain, keepsNothing: true }
  }
}

const METRICS_OFF = '# metrics are off: start the node with -monitor\n'

/** Tries out what is to transcode, within the walls; says what is not as the operator may expect. */
async function lookAt(
  settings: TranscoderSettings | null,
  { log, sandbox, signal }: { log: Log; sandbox: Sandbox; signal: AbortSignal },
): Promise<Pick<Surroundings, 'machine' | 'sandbox'>> {
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
    log.warn('-hevcDecoding is given, but decoding HEVC was tried and failed: it is not offered')
  return { machine, sandbox: { ofCores: sandbox, ofGpus: tryOuts.gpuSandbox } }
}

/** Unlocks the account and finds the contracts. Waits some time for a chain that does not answer. */
async function openChain(
  settings: Settings,
  around: NodeSurroundings & { readonly connections: DisposableStack },
  signal: AbortSignal,
): Promise<ChainAccess> {
  const { urls, controller, keystorePath, account } = settings.chain!
  const wallet = await openWallet(
    {
      keystoreDirectory: join(settings.dataDir, 'keystore'),
      keystorePath,
      address: account,
      password: settings.secrets.ethPassword === '' ? null : settings.secrets.ethPassword,
    },
    around,
  )
  const expected = settings.network.chainId
  const rpc = around.connections.use(
    new Rpc({ urls, chainId: expected === null ? null : Number(expected) }, around),
  )
  const { chainId, addresses } = await connectChain({ ...around, rpc }, controller, signal)
  around.log.info('on chain', { chainId, account: wallet.address, controller })
  return { wallet, rpc, chainId: BigInt(chainId), addresses }
}

/** Settles where gateways reach an orchestrator: what it was told, or what is registered on chain. */
async function withServiceAddress(
  settings: Settings,
  chain: ChainAccess | null,
  log: Log,
): Promise<Settings> {
  if (!settings.orchestrator || !chain) return settings
  const { orchestrator } = settings.chain!
  const service = await serviceAddress(
    settings.orchestrator.service,
    {
      ...{ account: chain.wallet.address, orchestrator: orchestrator ?? chain.wallet.address },
      isPublic: settings.network.public,
    },
    {
      log,
      registeredUri: async (address) => (await new ChainClient(chain).orchestrator(address)).serviceUri,
    },
  )
  return { ...settings, orchestrator: { ...settings.orchestrator, service } }
}
