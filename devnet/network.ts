import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeKeyFile } from '../src/io/chain/keystore.ts'
import { type Address, addressOfKey } from '../src/lib/crypto.ts'
import { Anvil } from './anvil.ts'
import { devnetKey, devnetKeyBytes } from './artifacts.ts'
import { type NodeEntry, NodeProcess } from './node-process.ts'
import { Protocol } from './protocol.ts'
import { freePort, freePortNear, TcpLink } from './tcp-link.ts'

const ETHER = 10n ** 18n
const PASSWORD = 'devnet'
/** Blocks: longer than ticket params live (40), short enough to see rounds pass. */
const ROUND_LENGTH = 60n
const STAKE = 1000n * ETHER
const DEPOSIT = 50n * ETHER
const RESERVE = 50n * ETHER
const GAS_MONEY = 100n * ETHER

/**
 * Tickets of a hundredth of an ether that pay two hundredths every second time, and a price at which a two-second
 * segment of the default renditions costs about one of them.
 */
const PAYMENT_FLAGS = {
  orchestrator: [
    '-pricePerUnit',
    '500000000',
    '-ticketEV',
    '10000000000000000',
    '-maxFaceValue',
    '20000000000000000',
  ],
  gateway: ['-maxTicketEV', '1000000000000000000', '-maxTotalEV', '10000000000000000000'],
}

export interface NetworkOptions {
  /** Flags that come last on the command lines, and so win over those before. */
  readonly orchestratorFlags?: readonly string[]
  readonly gatewayFlags?: readonly string[]
  /** Modules that run the nodes instead of the node's own. */
  readonly orchestratorEntry?: NodeEntry
  readonly gatewayEntry?: NodeEntry
  /** Wei, of deposit and reserve each. */
  readonly gatewayFunds?: bigint
  /** The ports that everybody knows, where they are free; otherwise any, so that several networks can run at once. */
  readonly usualPorts?: boolean
  /** Seconds between blocks. */
  readonly blockTimeS?: number
  /** Blocks. */
  readonly roundLength?: bigint
  /** Put a line that can be cut between orchestrator and chain. */
  readonly cuttable?: boolean
  /** Name the chain's own port as a second endpoint behind that line. */
  readonly spareEndpoint?: boolean
  /** Where the nodes' logs go; absent: into the folder that is removed at the end. */
  readonly logFolder?: string
  /** Gives up preparing when aborted. */
  readonly signal?: AbortSignal
}

/** The whole network on this machine: a chain with the protocol's contracts, an orchestrator, a gateway. */
export class Network implements AsyncDisposable {
  readonly anvil: Anvil
  readonly protocol: Protocol
  readonly orchestrator: NodeProcess
  readonly gateway: NodeProcess
  /** The orchestrator's line to the chain, where one was asked for. */
  readonly chainLink: TcpLink | null
  readonly urls: { readonly gateway: string; readonly orchestrator: string }
  readonly accounts: { readonly gateway: Address; readonly orchestrator: Address }
  readonly #stack: AsyncDisposableStack

  private constructor(
    parts: Omit<Network, 'stop' | typeof Symbol.asyncDispose>,
    stack: AsyncDisposableStack,
  ) {
    this.anvil = parts.anvil
    this.protocol = parts.protocol
    this.orchestrator = parts.orchestrator
    this.gateway = parts.gateway
    this.chainLink = parts.chainLink
    this.urls = parts.urls
    this.accounts = parts.accounts
    this.#stack = stack
  }

  /** Builds everything up to the point of starting the nodes: chain, contracts, accounts, keystores, command lines. */
  static async prepare(options: NetworkOptions = {}): Promise<Network> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-devnet-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const port = options.usualPorts ? freePortNear : freePort
    const ports = {
      chain: await port(8545),
      service: await port(8935),
      orchestratorControl: await port(7935),
      gateway: await port(9935),
      gatewayControl: await port(5935),
    }
    const anvil = stack.use(await Anvil.start({ port: ports.chain }))
    const giveUp = () => void anvil.stop()
    options.signal?.addEventListener('abort', giveUp, { once: true })
    options.signal?.throwIfAborted()
    const protocol = await Protocol.deploy(anvil, { roundLength: options.roundLength ?? ROUND_LENGTH })
    const serviceUri = `https://127.0.0.1:${ports.service}`
    const orchestrator = await protocol.bondAndRegister(devnetKey('orchestrator'), {
      stake: STAKE,
      serviceUri,
    })
    await anvil.setBalance(orchestrator, GAS_MONEY)
    const gateway = await protocol.fundSender(
      devnetKey('gateway'),
      options.gatewayFunds ?? DEPOSIT,
      options.gatewayFunds ?? RESERVE,
    )
    await protocol.nextRound()
    await anvil.mineEvery(options.blockTimeS ?? 1)
    keepRoundsInitialized(protocol, stack)
    const chainLink = options.cuttable ? stack.use(await TcpLink.open(ports.chain)) : null

    const passwordFile = join(folder, 'password')
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 })
    const chainFlags = async (name: string, ...chainPorts: number[]) => {
      const key = devnetKeyBytes(name)
      const keystore = join(folder, name, 'keystore')
      await mkdir(keystore, { recursive: true })
      // A real key file costs seconds of work by design; these keys are known to everyone.
      await writeKeyFile(keystore, key, PASSWORD, { scryptN: 2 ** 12 })
      return [
        ...[
          '-network',
          'devnet',
          '-ethUrl',
          chainPorts.map((port) => `http://127.0.0.1:${port}`).join(','),
          '-ethController',
          protocol.addresses.controller,
        ],
        ...['-ethKeystorePath', keystore, '-ethAcctAddr', addressOfKey(key), '-ethPassword', passwordFile],
        ...['-dataDir', join(folder, name), '-blockPollingInterval', '1'],
      ]
    }
    const logFolder = options.logFolder ?? join(folder, 'logs')
    const orchestratorNode = new NodeProcess({
      name: 'orchestrator',
      flags: [
        ...['-orchestrator', '-transcoder', '-httpAddr', `127.0.0.1:${ports.service}`],
        ...PAYMENT_FLAGS.orchestrator,
        ...(await chainFlags(
          'orchestrator',
          ...(chainLink ? [chainLink.port, ...(options.spareEndpoint ? [ports.chain] : [])] : [ports.chain]),
        )),
        ...['-cliAddr', `127.0.0.1:${ports.orchestratorControl}`],
        ...(options.orchestratorFlags ?? []),
      ],
      ...(options.orchestratorEntry && { entry: options.orchestratorEntry }),
      control: `127.0.0.1:${ports.orchestratorControl}`,
      logFile: join(logFolder, 'orchestrator.log'),
    })
    const gatewayNode = new NodeProcess({
      name: 'gateway',
      flags: [
        ...['-gateway', '-httpAddr', `127.0.0.1:${ports.gateway}`],
        ...PAYMENT_FLAGS.gateway,
        ...(await chainFlags('gateway', ports.chain)),
        ...['-cliAddr', `127.0.0.1:${ports.gatewayControl}`],
        ...(options.gatewayFlags ?? []),
      ],
      ...(options.gatewayEntry && { entry: options.gatewayEntry }),
      control: `127.0.0.1:${ports.gatewayControl}`,
      logFile: join(logFolder, 'gateway.log'),
    })
    stack.defer(async () => {
      await Promise.all([gatewayNode.stop(), orchestratorNode.stop()])
    })
    options.signal?.throwIfAborted()
    options.signal?.removeEventListener('abort', giveUp)
    return new Network(
      {
        anvil,
        protocol,
        orchestrator: orchestratorNode,
        gateway: gatewayNode,
        chainLink,
        urls: { gateway: `http://127.0.0.1:${ports.gateway}`, orchestrator: serviceUri },
        accounts: { gateway, orchestrator },
      },
      stack.move(),
    )
  }

  /** Stops the nodes, then the chain, and removes every file. */
  async stop(): Promise<void> {
    await this.#stack.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function keepRoundsInitialized(protocol: Protocol, stack: AsyncDisposableStack): void {
  const abort = new AbortController()
  const done = protocol.keepRoundsInitialized(abort.signal)
  stack.defer(async () => {
    abort.abort()
    await done
  })
}
