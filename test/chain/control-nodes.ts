import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mnemonicToAccount } from 'viem/accounts'
import { Anvil } from '../../devnet/anvil.ts'
import { freePort } from '../../devnet/free-port.ts'
import { writePassword } from '../../devnet/funded-chain.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { Protocol, type ProtocolParameters } from '../../devnet/protocol.ts'
import { writeKeyFile } from '../../src/io/chain/keystore.ts'
import { formatHex, type Hex, parseHex } from '../../src/lib/bytes.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { type Address, parseAddress } from '../../src/lib/crypto.ts'
import { seededDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import type { Media } from '../../src/node/environment.ts'
import { runNode } from '../../src/node/node.ts'
import { settingsOf } from '../fakes/settings.ts'
import { eventually } from '../tools/until.ts'

/** Whole nodes in the test's own process, on a chain with the real contracts, asked through their control APIs. */

const MNEMONIC = 'test test test test test test test test test test test junk'
const PASSWORD = 'devnet'
export const LPT = 10n ** 18n
const ETHER = 10n ** 18n

/** An account of the well-known mnemonic. */
export interface TestAccount {
  readonly address: Address
  readonly key: Hex
}

export function accountAt(index: number): TestAccount {
  const key = mnemonicToAccount(MNEMONIC, { addressIndex: index }).getHdKey().privateKey!
  return {
    key: formatHex(key),
    address: parseAddress(mnemonicToAccount(MNEMONIC, { addressIndex: index }).address),
  }
}

/** An answer of a control API. */
export interface Answered {
  readonly status: number
  readonly type: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Buffer
  readonly text: string
}

const POLL_MS = 1_000
/** Looks four times as often, since the chain here mines at once; longer waits are limits. */
const EAGER: Clock = {
  now: () => systemClock.now(),
  sleep: (ms, signal) => systemClock.sleep(ms <= POLL_MS ? ms / 4 : ms, signal),
}

/** How a node differs from the others of its chain. */
export interface LocalNodeOptions {
  /** Absent: the system's, with shorter looks. */
  readonly clock?: Clock
  /** Absent: nothing is transcoded. */
  readonly media?: Media
  /** Absent: the chain itself. */
  readonly ethUrl?: string
  /** Absent: a temporary folder with the node's name. */
  readonly dataDir?: string
}

/** A node that runs in this process. */
export class LocalNode {
  readonly port: number
  readonly account: TestAccount | null
  readonly folder: string
  readonly #stop = new AbortController()
  readonly #ended: Promise<boolean>

  constructor(
    line: string,
    {
      account,
      folder,
      port,
      clock = EAGER,
      media = NO_MEDIA,
    }: LocalNodeOptions & { account: TestAccount | null; folder: string; port: number },
  ) {
    this.port = port
    this.account = account
    this.folder = folder
    const env = {
      ...{ version: '1', clock, dice: seededDice(`node ${port}`), log: silentLog, cpus: 1 },
      ...{ prompt: null, media },
    }
    const settings = settingsOf(line, (path) => (path === 'password' ? PASSWORD : null))
    this.#ended = runNode(settings, env, this.#stop.signal)
    this.#ended.catch(() => {})
  }

  /** Resolves once it has started; throws what kept it from that. */
  async ready(): Promise<this> {
    const dead = this.#ended.then(() => {
      throw new Error('the node ended')
    })
    const isReady = async () => {
      const status = await this.ask('GET', '/status').catch(() => null)
      return status !== null && (JSON.parse(status.text) as { waitingFor?: string }).waitingFor === undefined
    }
    await Promise.race([dead, eventually('the node is ready', isReady)])
    return this
  }

  /** Sends a request as a program on this machine does. */
  ask(
    method: string,
    path: string,
    {
      form,
      headers = {},
      isBare = false,
    }: {
      form?: string | undefined
      headers?: Readonly<Record<string, string>> | undefined
      /** Without a content type. */
      isBare?: boolean
    } = {},
  ): Promise<Answered> {
    const typed = form !== undefined && !isBare && !('Content-Type' in headers)
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          ...{ host: '127.0.0.1', port: this.port, method, path },
          headers: { ...headers, ...(typed && { 'Content-Type': 'application/x-www-form-urlencoded' }) },
        },
        async (response) => {
          const chunks: Buffer[] = []
          for await (const chunk of response) chunks.push(chunk)
          const bytes = Buffer.concat(chunks)
          const type = response.headers['content-type']
          resolve({
            ...{ status: response.statusCode!, type, headers: response.headers },
            ...{ bytes, text: bytes.toString('utf8') },
          })
        },
      )
      asked.on('error', reject)
      asked.end(form ?? '')
    })
  }

  post(path: string, values: Readonly<Record<string, string | bigint | number>> = {}): Promise<Answered> {
    const form = new URLSearchParams(
      Object.entries(values).map(([name, value]): [string, string] => [name, String(value)]),
    )
    return this.ask('POST', path, { form: form.toString() })
  }

  async json<T = Record<string, unknown>>(path: string): Promise<T> {
    return JSON.parse((await this.ask('GET', path)).text) as T
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended.catch(() => {})
  }
}

/** A chain with the contracts, and the nodes on it. Disposing stops all. */
export class ControlledChain implements AsyncDisposable {
  readonly anvil: Anvil
  readonly protocol: Protocol
  readonly #stack: AsyncDisposableStack
  readonly #folder: string

  private constructor(parts: {
    anvil: Anvil
    protocol: Protocol
    folder: string
    stack: AsyncDisposableStack
  }) {
    this.anvil = parts.anvil
    this.protocol = parts.protocol
    this.#folder = parts.folder
    this.#stack = parts.stack
  }

  static async start(parameters: Partial<ProtocolParameters> = {}): Promise<ControlledChain> {
    const stack = new AsyncDisposableStack()
    const anvil = stack.use(await Anvil.start())
    const folder = await mkdtemp(join(tmpdir(), 'control-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const protocol = await Protocol.deploy(anvil, { roundLength: 40n, ...parameters })
    return new ControlledChain({ anvil, protocol, folder, stack })
  }

  /** Gives an account ether and LPT. */
  async fund(
    { address }: TestAccount,
    { lpt = 0n, ether = 100n }: { lpt?: bigint; ether?: bigint } = {},
  ): Promise<void> {
    await this.anvil.setBalance(address, ether * ETHER)
    if (lpt > 0n) await this.protocol.ownerCalls('LivepeerToken', 'transfer', [address, lpt * LPT])
  }

  /** Starts a node. `account`: null for one without a chain. */
  async node(
    name: string,
    flags: string,
    account: TestAccount | null,
    options: LocalNodeOptions = {},
  ): Promise<LocalNode> {
    const port = await freePort()
    const folder = options.dataDir ?? join(this.#folder, name)
    const chain = account && (await this.#onChain(folder, account, { password: 'password', ...options }))
    const own = `-dataDir ${folder} -cliAddr 127.0.0.1:${port}`
    const line = [chain, flags, own].filter((part) => part).join(' ')
    const node = new LocalNode(line, { ...options, account, folder, port })
    this.#stack.defer(() => node.stop())
    return node.ready()
  }

  /** A node as a process of its own, which is not started yet. */
  async process(name: string, flags: string, account: TestAccount): Promise<NodeProcess> {
    const control = `127.0.0.1:${await freePort()}`
    const folder = join(this.#folder, name)
    const chain = await this.#onChain(folder, account, { password: await writePassword(this.#folder) })
    const line = `${chain} ${flags} -dataDir ${folder} -cliAddr ${control}`
    const node = new NodeProcess({ name, flags: line.split(' '), control })
    this.#stack.defer(() => node.stop())
    return node
  }

  /** The flags of a node with an account, whose key is written to its folder. */
  async #onChain(
    folder: string,
    { key }: TestAccount,
    { password, ethUrl = this.anvil.url }: { password: string; ethUrl?: string },
  ): Promise<string> {
    await writeKeyFile(join(folder, 'keystore'), parseHex(key), PASSWORD, { scryptN: 2 ** 12 })
    return `-network devnet -ethUrl ${ethUrl} -ethController ${this.protocol.addresses.controller} -ethPassword ${password} -blockPollingInterval 1`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

/** Nothing is transcoded here. */
const NO_MEDIA = {
  name: 'media',
  start: () => {},
  parallel: 1,
  transcode: async () => {
    throw new Error('nothing is transcoded')
  },
  probe: async () => {
    throw new Error('nothing is transcoded')
  },
  countPixels: async () => 0n,
  fingerprint: async () => {
    throw new Error('nothing is compared')
  },
} as unknown as Media
