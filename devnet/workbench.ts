import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Address, addressOfKey } from '../src/lib/crypto.ts'
import { hostAndPort } from '../src/lib/hosts.ts'
import { devnetKeyBytes } from './artifacts.ts'
import {
  chainFlags,
  type FundedChain,
  PAYING,
  PAYMENT_FLAGS,
  startFundedChain,
  writeKeystore,
  writePassword,
} from './funded-chain.ts'
import { REGISTERED } from './setups.ts'
import { LOOPBACK } from './tcp-link.ts'

/** An account of the workbench. */
interface BenchAccount {
  readonly name: string
  readonly address: Address
  readonly has: string
}

const ACCOUNTS: readonly (Pick<BenchAccount, 'name' | 'has'> & { readonly needsGas?: true })[] = [
  { name: REGISTERED, has: 'X: registered, stake and ether', needsGas: true },
  { name: 'redeemer', has: 'ether, to redeem for X', needsGas: true },
  { name: 'orchestrator-1', has: 'nothing, to work for X' },
  { name: 'orchestrator-2', has: 'nothing, to work for X' },
  { name: PAYING, has: 'deposit and reserve, to pay' },
]

/** A chain for an operator's own nodes: contracts, rounds, an orchestrator X, funded accounts and their keys. */
export class Workbench implements AsyncDisposable {
  readonly chain: FundedChain
  readonly accounts: readonly BenchAccount[]
  /** Holds the keystore and the password, until the end. */
  readonly folder: string
  /** The flags of every node. */
  readonly flags: readonly string[]
  /** HOST:PORT that X has registered. */
  readonly registered: string
  readonly #ports: { readonly gateway: number; readonly control: number; readonly gatewayControl: number }
  readonly #stack: AsyncDisposableStack

  private constructor(
    parts: Pick<Workbench, 'chain' | 'accounts' | 'folder' | 'flags' | 'registered'>,
    ports: { gateway: number; control: number; gatewayControl: number },
    stack: AsyncDisposableStack,
  ) {
    this.chain = parts.chain
    this.accounts = parts.accounts
    this.folder = parts.folder
    this.flags = parts.flags
    this.registered = parts.registered
    this.#ports = ports
    this.#stack = stack
  }

  /** Starts the chain; `port` finds a free port for a wanted one. */
  static async open(signal: AbortSignal, port: (wanted: number) => Promise<number>): Promise<Workbench> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-devnet-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const registered = hostAndPort(LOOPBACK, await port(8935))
    const chain = await startFundedChain(
      {
        ...{ port: await port(8545), serviceUri: `https://${registered}`, signal },
        gasFor: ACCOUNTS.flatMap(({ name, needsGas }) => (needsGas ? [name] : [])),
      },
      stack,
    )
    const keystore = join(folder, 'keystore')
    await writeKeystore(
      keystore,
      ACCOUNTS.map(({ name }) => name),
    )
    const passwordFile = await writePassword(folder)
    const { anvil, protocol } = chain
    const flags = chainFlags({ urls: [anvil.url], protocol, keystore, passwordFile })
    const accounts = ACCOUNTS.map(({ has, name }) => ({
      ...{ name, has, address: addressOfKey(devnetKeyBytes(name)) },
    }))
    const ports = {
      gateway: await port(9935),
      control: await port(7935),
      gatewayControl: await port(5935),
    }
    return new Workbench({ chain, accounts, folder, flags, registered }, ports, stack.move())
  }

  /** Two nodes that work as they are: X as an orchestrator, and a gateway that pays it. The flags of each, by role. */
  get examples(): { readonly orchestrator: readonly string[]; readonly gateway: readonly string[] } {
    const { control, gateway, gatewayControl } = this.#ports
    const common = (name: string, controlPort: number) => [
      ...this.flags,
      ...['-ethAcctAddr', addressOfKey(devnetKeyBytes(name)), '-dataDir', join(this.folder, name)],
      ...['-cliAddr', hostAndPort(LOOPBACK, controlPort), '-monitor'],
    ]
    return {
      orchestrator: [
        ...['-orchestrator', '-transcoder', '-httpAddr', this.registered],
        ...PAYMENT_FLAGS.orchestrator!,
        ...common(REGISTERED, control),
      ],
      gateway: [
        ...['-gateway', '-rtmpAddr', 'none', '-httpAddr', hostAndPort(LOOPBACK, gateway)],
        ...PAYMENT_FLAGS.gateway!,
        ...common(PAYING, gatewayControl),
      ],
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
