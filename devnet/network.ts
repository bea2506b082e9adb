import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Address, addressOfKey } from '../src/lib/crypto.ts'
import { hostAndPort } from '../src/lib/hosts.ts'
import type { Anvil } from './anvil.ts'
import { devnetKeyBytes } from './artifacts.ts'
import { type Balancer, type BalancerMode, startBalancer } from './balancer.ts'
import { freePort, freePortNear } from './free-port.ts'
import { chainFlags, PAYMENT_FLAGS, startFundedChain, writeKeystore, writePassword } from './funded-chain.ts'
import { type NodeEntry, NodeProcess } from './node-process.ts'
import { Postgres } from './postgres.ts'
import type { Protocol } from './protocol.ts'
import { hasBalancer, hasStore, type NodeKind, type PlannedNode, planOf, type Setup } from './setups.ts'
import { LOOPBACK, TcpLink } from './tcp-link.ts'

const ORCH_SECRET = 'devnet'

const GATEWAY: PlannedNode = {
  ...{ name: 'gateway', kind: 'gateway', account: 'gateway', needsGas: false, port: 9935, controlPort: 5935 },
  flags: ({ addresses }) => ['-gateway', '-httpAddr', addresses.gateway!, '-rtmpAddr', 'none'],
}

export interface NetworkOptions {
  /** How the orchestrator's work is split; default `single`. */
  readonly setup?: Setup
  /** The number of a cluster's orchestrators. */
  readonly clustered?: number
  /** Flags at the end of the command lines, which override earlier ones. */
  readonly orchestratorFlags?: readonly string[]
  readonly gatewayFlags?: readonly string[]
  readonly redeemerFlags?: readonly string[]
  readonly rewardFlags?: readonly string[]
  /** Modules that replace the node's own main module. */
  readonly orchestratorEntry?: NodeEntry
  readonly gatewayEntry?: NodeEntry
  readonly transcoderEntry?: NodeEntry
  /** Deposit and reserve in wei, each. */
  readonly gatewayFunds?: bigint
  /** Use the usual ports if they are free; otherwise free ones, so that several networks can run at once. */
  readonly usualPorts?: boolean
  /** How the balancer of several orchestrators passes their calls on; default `tcp`. */
  readonly balancerMode?: BalancerMode
  /** Where chain, balancer and nodes listen; default 127.0.0.1. */
  readonly host?: string
  /** Seconds between blocks. */
  readonly blockTimeS?: number
  /** Blocks. */
  readonly roundLength?: bigint
  /** Adds a link that can be cut between the chain and each node but the gateway, and in front of the redeemer. */
  readonly cuttable?: boolean
  /** Adds the chain's own port as a second endpoint behind that link. */
  readonly spareEndpoint?: boolean
  /** Data folders of nodes, by name; default: in the temporary folder. */
  readonly dataDirs?: Readonly<Record<string, string>>
  /** Folder of the nodes' logs; default: the temporary folder. */
  readonly logFolder?: string
  /** Cancels the preparation when aborted. */
  readonly signal?: AbortSignal
}

/** One node of the network. */
export interface NetworkNode {
  readonly kind: NodeKind
  readonly process: NodeProcess
  /** Null for a node without a chain. */
  readonly account: Address | null
  /** HOST:PORT of its service, or null. */
  readonly address: string | null
  readonly dataDir: string
  /** Its link to the chain, if requested. */
  readonly chainLink: TcpLink | null
}

/** A PostgreSQL server with the store of a cluster. */
export interface SharedStore {
  readonly postgres: Postgres
  readonly url: string
}

/** A whole network on this machine: a chain with the protocol's contracts, an operator's nodes, a gateway. */
export class Network implements AsyncDisposable {
  readonly setup: Setup
  readonly anvil: Anvil
  readonly protocol: Protocol
  /** In starting order; the gateway is last. */
  readonly nodes: readonly NetworkNode[]
  readonly balancer: Balancer | null
  /** The store that nodes share; null where each has its own. */
  readonly store: SharedStore | null
  /** The orchestrators' link to their redeemer, if requested. */
  readonly redeemerLink: TcpLink | null
  /** The block from which rounds are counted: the first round counted starts after it. */
  readonly fromBlock: bigint
  readonly urls: { readonly gateway: string; readonly orchestrator: string }
  readonly accounts: { readonly gateway: Address; readonly orchestrator: Address }
  readonly #stack: AsyncDisposableStack

  private constructor(
    parts: Pick<
      Network,
      | 'setup'
      | 'anvil'
      | 'protocol'
      | 'nodes'
      | 'balancer'
      | 'store'
      | 'redeemerLink'
      | 'fromBlock'
      | 'urls'
      | 'accounts'
    >,
    stack: AsyncDisposableStack,
  ) {
    this.setup = parts.setup
    this.anvil = parts.anvil
    this.protocol = parts.protocol
    this.nodes = parts.nodes
    this.balancer = parts.balancer
    this.store = parts.store
    this.redeemerLink = parts.redeemerLink
    this.fromBlock = parts.fromBlock
    this.urls = parts.urls
    this.accounts = parts.accounts
    this.#stack = stack
  }

  /** The nodes of one kind. */
  of(kind: NodeKind): readonly NetworkNode[] {
    return this.nodes.filter((node) => node.kind === kind)
  }

  /** The first orchestrator. */
  get orchestrator(): NodeProcess {
    return this.of('orchestrator')[0]!.process
  }

  get gateway(): NodeProcess {
    return this.of('gateway')[0]!.process
  }

  /** The first orchestrator's link to the chain, if requested. */
  get chainLink(): TcpLink | null {
    return this.of('orchestrator')[0]!.chainLink
  }

  /** Prepares everything but the nodes' processes: chain, contracts, accounts, keystores, command lines. */
  static async prepare(options: NetworkOptions = {}): Promise<Network> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-devnet-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const { host = LOOPBACK, setup = 'single' } = options
    const plan = [...planOf(setup, options.clustered), GATEWAY]
    const port = options.usualPorts ? freePortNear : freePort
    const ports = await portsFor(plan, port)

    const isBalanced = hasBalancer(setup)
    const chainPort = await port(8545)
    const publicPort = isBalanced ? await port(8940) : ports.get('orchestrator')!.service
    const serviceUri = `https://${hostAndPort(host, publicPort)}`
    const { accounts, anvil, fromBlock, protocol } = await startFundedChain(
      {
        ...{ port: chainPort, serviceUri, signal: options.signal },
        gasFor: plan.flatMap(({ account, needsGas }) => (needsGas && account !== null ? [account] : [])),
        gatewayFunds: options.gatewayFunds,
        ...{ blockTimeS: options.blockTimeS, roundLength: options.roundLength },
      },
      stack,
    )
    const { orchestrator: registered } = accounts
    const passwordFile = await writePassword(folder)
    const orchSecret = join(folder, 'orch-secret')
    await writeFile(orchSecret, `${ORCH_SECRET}\n`, { mode: 0o600 })
    const postgres = hasStore(setup) ? stack.use(await Postgres.start({ port: await port(5433) })) : null
    const store = postgres && { postgres, url: await postgres.newDatabase() }
    const storeFile = store && join(folder, 'store-url')
    if (storeFile) await writeFile(storeFile, `${store.url}\n`, { mode: 0o600 })
    const addresses = Object.fromEntries(
      plan.map(({ name }) => [name, hostAndPort(host, ports.get(name)!.service)]),
    )
    const redeemerName = plan.find(({ kind }) => kind === 'redeemer')?.name
    let redeemerLink: TcpLink | null = null
    if (options.cuttable && redeemerName) {
      redeemerLink = stack.use(await TcpLink.open(ports.get(redeemerName)!.service))
    }
    // The chain itself listens on 127.0.0.1.
    const chainDoor = host === LOOPBACK ? anvil : stack.use(await TcpLink.open(anvil.port, host))
    const nodes: NetworkNode[] = []
    for (const planned of plan) {
      const { name, kind } = planned
      const isLinked = options.cuttable && planned.account !== null && kind !== 'gateway'
      const chainLink = isLinked ? stack.use(await TcpLink.open(anvil.port)) : null
      const chainAddresses = chainLink
        ? [chainLink, ...(options.spareEndpoint ? [anvil] : [])].map((end) => hostAndPort(LOOPBACK, end.port))
        : [hostAndPort(host, chainDoor.port)]
      const seen =
        redeemerLink && kind === 'orchestrator'
          ? { ...addresses, [redeemerName!]: hostAndPort(LOOPBACK, redeemerLink.port) }
          : addresses
      const control = hostAndPort(host, ports.get(name)!.control)
      const entry = entryOf(options, kind)
      const account = planned.account === null ? null : addressOfKey(devnetKeyBytes(planned.account))
      const onChain: string[] = []
      if (planned.account !== null && account) {
        const keystore = join(folder, name, 'keystore')
        await writeKeystore(keystore, [planned.account])
        const urls = chainAddresses.map((address) => `http://${address}`)
        onChain.push(...chainFlags({ urls, protocol, keystore, passwordFile }), '-ethAcctAddr', account)
      }
      const dataDir = options.dataDirs?.[name] ?? join(folder, name)
      nodes.push({
        kind,
        account,
        dataDir,
        address: planned.port === null ? null : addresses[name]!,
        chainLink,
        process: new NodeProcess({
          name,
          flags: [
            ...planned.flags({ registered, addresses: seen, orchSecret, store: storeFile }),
            ...(PAYMENT_FLAGS[kind] ?? []),
            ...onChain,
            ...['-dataDir', dataDir, '-cliAddr', control, '-monitor'],
            ...(flagsOf(options, kind) ?? []),
          ],
          ...(entry && { entry }),
          control,
          logFile: join(options.logFolder ?? join(folder, 'logs'), `${name}.log`),
        }),
      })
    }
    stack.defer(async () => {
      await Promise.all(nodes.map((node) => node.process.stop()))
    })
    const backends = plan
      .filter(({ kind }) => kind === 'orchestrator')
      .map(({ name }) => ({ name, port: ports.get(name)!.service, controlPort: ports.get(name)!.control }))
    const balancer = isBalanced
      ? stack.use(
          await startBalancer({
            port: publicPort,
            backends,
            folder,
            host,
            mode: options.balancerMode ?? 'tcp',
          }),
        )
      : null
    options.signal?.throwIfAborted()
    return new Network(
      {
        ...{ setup, anvil, protocol, nodes, balancer, redeemerLink, store, fromBlock },
        urls: { gateway: `http://${addresses.gateway}`, orchestrator: serviceUri },
        accounts,
      },
      stack.move(),
    )
  }

  /** Starts all nodes in order, neighbours of one kind at once. */
  async start(onCommand: (node: NetworkNode) => void = () => {}, signal?: AbortSignal): Promise<void> {
    for (let from = 0; from < this.nodes.length; ) {
      const { kind } = this.nodes[from]!
      const end = this.nodes.findIndex((node, at) => at > from && node.kind !== kind)
      const alike = this.nodes.slice(from, end < 0 ? undefined : end)
      from += alike.length
      signal?.throwIfAborted()
      for (const node of alike) onCommand(node)
      await Promise.all(alike.map(({ process }) => process.start(signal)))
    }
  }

  /** Stops the nodes, then the chain, and deletes all files. */
  async stop(): Promise<void> {
    await this.#stack.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** A port for each node's service and one for its control API. */
async function portsFor(
  plan: readonly PlannedNode[],
  port: (wanted: number) => Promise<number>,
): Promise<Map<string, { service: number; control: number }>> {
  const taken = new Set<number>()
  const free = async (wanted: number | null): Promise<number> => {
    let found = wanted === null ? await freePort() : await port(wanted)
    // A free port is not reserved: the next search may find it again.
    while (taken.has(found)) found = await freePort()
    taken.add(found)
    return found
  }
  const ports = new Map<string, { service: number; control: number }>()
  for (const { name, port: wanted, controlPort } of plan) {
    ports.set(name, { service: await free(wanted), control: await free(controlPort) })
  }
  return ports
}

function flagsOf(options: NetworkOptions, kind: NodeKind): readonly string[] | undefined {
  switch (kind) {
    case 'orchestrator':
      return options.orchestratorFlags
    case 'gateway':
      return options.gatewayFlags
    case 'redeemer':
      return options.redeemerFlags
    case 'reward':
      return options.rewardFlags
    case 'transcoder':
      return undefined
  }
}

function entryOf(options: NetworkOptions, kind: NodeKind): NodeEntry | undefined {
  switch (kind) {
    case 'orchestrator':
      return options.orchestratorEntry
    case 'gateway':
      return options.gatewayEntry
    case 'transcoder':
      return options.transcoderEntry
    default:
      return undefined
  }
}
