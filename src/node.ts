import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isLoopback } from './config/addresses.ts'
import type { Settings } from './config/settings.ts'
import { ChainClient, connectChain } from './io/chain/client.ts'
import { Rpc } from './io/chain/rpc.ts'
import { openWallet, type Prompt } from './io/chain/wallet.ts'
import { ControlApi } from './io/http/control-api.ts'
import type { Address } from './lib/crypto.ts'
import { NodeError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'
import { Supervisor } from './lib/service.ts'
import { type ChainAccess, Parts, type Surroundings } from './parts.ts'
import { roles } from './roles.ts'
import { serviceUrl } from './services/orchestrator-source.ts'
import { statusOf } from './status.ts'

/** What else running a node takes, beside what its parts are given. */
export interface NodeSurroundings extends Surroundings {
  /** Asks for a password at the terminal; null where there is none. */
  readonly prompt: Prompt | null
}

/**
 * Runs a node until the signal is aborted, and stops it in order. Throws what keeps it from starting, and the failure
 * of any of its parts later on: the message is for the operator.
 */
export async function runNode(
  settings: Settings,
  around: NodeSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const { log } = around
  refuseMissingRoles(settings)
  log.info('livepeer-ts starts', {
    version: around.version,
    network: settings.network.name,
    ...settings.printable(),
  })
  for (const warning of settings.warnings) log.warn(warning)
  await mkdir(settings.dataDir, { recursive: true, mode: 0o700 })

  let parts: Parts | null = null
  let isReady = false
  await using supervisor = new Supervisor()
  // First, so that one can see what a node that has not started yet is waiting for.
  const routes = {
    '/status': async () => ({ json: await statusOf(parts, isReady, around.version) }),
    '/metrics': async () =>
      settings.metrics.enabled && parts ? parts.metrics.text() : { text: METRICS_OFF },
    '/healthz': () => (isReady ? { text: '' } : { text: 'not ready yet\n', status: 503 }),
  }
  await supervisor.start(new ControlApi(settings.controlBind, { routes, log }))

  const chain = settings.chain ? await openChain(settings, around, signal) : null
  if (signal.aborted) return
  parts = new Parts(await withServiceAddress(settings, chain), chain, around)
  for (const role of settings.roles) roles[role]!(parts)
  for (const service of parts.services) {
    if (signal.aborted) return
    await supervisor.start(service)
    log.debug('started', { service: service.name })
  }
  isReady = true
  log.info('ready', { control: `${settings.controlBind.host}:${settings.controlBind.port}` })
  await supervisor.untilStopped(signal)
  isReady = false
  log.info('stopping')
}

const METRICS_OFF = '# metrics are off: start the node with -monitor\n'

function refuseMissingRoles(settings: Settings): void {
  const missing = [...settings.roles].filter((role) => roles[role] === null)
  if (settings.transcoder?.orchestrators.length) missing.push('transcoder')
  if (missing.length > 0) {
    throw new NodeError('not-there-yet', `this version cannot be a ${missing.join(' or a ')} of its own yet`)
  }
  if (settings.orchestrator && !settings.transcoder) {
    throw new NodeError(
      'not-there-yet',
      'this version does not take in transcoders of other machines yet: use -transcoder to transcode here, without -orchSecret',
    )
  }
}

/** Unlocks the account and finds the contracts. Waits some time for a chain that does not answer. */
async function openChain(
  settings: Settings,
  around: NodeSurroundings,
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
  const rpc = new Rpc({ urls, chainId: expected === null ? null : Number(expected) }, around)
  const { chainId, addresses } = await connectChain({ ...around, rpc }, controller, signal)
  around.log.info('on chain', { chainId, account: wallet.address, controller })
  await warnOfReward(settings, new ChainClient({ rpc, addresses }), wallet.address, around.log)
  return { wallet, rpc, chainId: BigInt(chainId), addresses }
}

/** The Go node calls reward by itself for a registered account (operations.md §2.4); silence would cost its rewards. */
async function warnOfReward(
  settings: Settings,
  client: ChainClient,
  account: Address,
  log: Log,
): Promise<void> {
  if (settings.chain!.reward !== 'automatic' || !(await client.orchestrator(account)).registered) return
  log.warn(
    `${account} is a registered orchestrator and this version does not call reward yet: let another node do it, and say -reward=false here`,
  )
}

/** An orchestrator that was not told its address uses the one its recipient registered on chain. */
async function withServiceAddress(settings: Settings, chain: ChainAccess | null): Promise<Settings> {
  if (settings.orchestrator?.service.kind !== 'registered' || !chain) return settings
  const registered = settings.chain!.orchestrator ?? chain.wallet.address
  const { serviceUri } = await new ChainClient(chain).orchestrator(registered)
  if (serviceUri === '') {
    throw new NodeError(
      'no-service-address',
      `${registered} has no service address on chain: register one, or give this node's with -serviceAddr HOST:PORT`,
    )
  }
  const url = serviceUrl(serviceUri)
  if (settings.network.public && isLoopback(new URL(url).hostname)) {
    throw new NodeError(
      'no-service-address',
      `the service address of ${registered} on chain is ${url}, which leads to this machine only: give this node's with -serviceAddr HOST:PORT`,
    )
  }
  const service = { kind: 'url', url } as const
  return { ...settings, orchestrator: { ...settings.orchestrator, service } }
}
