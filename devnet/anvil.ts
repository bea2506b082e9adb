import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { NodeError } from '../src/lib/errors.ts'
import { type Leashed, release, spawnLeashed } from './leash.ts'

/** Options of an anvil. */
export interface AnvilOptions {
  /** TCP port on 127.0.0.1; 0 or absent for a free one. */
  readonly port?: number
  /** Absent: 54321, the development network's (chain.md §1). */
  readonly chainId?: number
  /** Seconds between blocks; absent: a block for each transaction. */
  readonly blockTimeS?: number
  /** Path of a socket on which it also answers. */
  readonly ipc?: string
  /** Aborting it stops the process. */
  readonly signal?: AbortSignal
}

/** The development network's chain id, without special rules (chain.md §1). */
const DEVNET_CHAIN_ID = 54321

/**
 * Past states kept, in memory only. By default anvil writes thousands into the user's home and leaves them there when
 * killed: hundreds of megabytes per chain. This is enough for any tested reorganisation.
 */
const PAST_STATES = 256

/** How long anvil may take to start listening. */
const START_TIMEOUT_MS = 20_000
/** Time limit for one answer: deploying is quick, and a stuck chain must not hang its caller. */
const REQUEST_TIMEOUT_MS = 20_000

/** A chain for development and tests: an anvil process and its requests beyond the standard RPC. */
export class Anvil implements AsyncDisposable {
  readonly port: number
  readonly chainId: number
  readonly #process: Leashed
  #requests = 0

  private constructor(process: Leashed, port: number, chainId: number) {
    this.#process = process
    this.port = port
    this.chainId = chainId
  }

  /** Starts anvil and resolves once it answers. Throws NodeError `anvil-failed` with its last output. */
  static async start(options: AnvilOptions = {}): Promise<Anvil> {
    const chainId = options.chainId ?? DEVNET_CHAIN_ID
    const args = ['--host', '127.0.0.1', '--port', String(options.port ?? 0), '--chain-id', String(chainId)]
    args.push('--prune-history', String(PAST_STATES), '--cache-path', tmpdir())
    if (options.blockTimeS) args.push('--block-time', String(options.blockTimeS))
    if (options.ipc) args.push('--ipc', options.ipc)
    const child = spawnLeashed(anvilBinary(), args)
    const port = await listeningPort(child).catch((error) => {
      void release(child)
      throw error
    })
    const anvil = new Anvil(child, port, chainId)
    options.signal?.addEventListener('abort', () => void release(child), { once: true })
    if (options.signal?.aborted) void release(child)
    return anvil
  }

  /** Whether the process has ended. */
  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** Resolves once the process has ended. */
  get ended(): Promise<void> {
    if (this.hasEnded) return Promise.resolve()
    return new Promise((resolve) => this.#process.once('exit', () => resolve()))
  }

  /** Its JSON-RPC URL. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** One JSON-RPC request. Throws NodeError `anvil-refused` with the chain's own message. */
  async request<Result = unknown>(method: string, params: readonly unknown[] = []): Promise<Result> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++this.#requests, method, params }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    })
    const answer = (await response.json()) as { result: Result; error?: { message: string } }
    if (answer.error) throw new NodeError('anvil-refused', `${method}: ${answer.error.message}`)
    return answer.result
  }

  /** Mines `count` blocks at once. */
  async mine(count = 1): Promise<void> {
    if (count > 0) await this.request('anvil_mine', [`0x${count.toString(16)}`])
  }

  /** Mines a block for each transaction. */
  async mineAtOnce(): Promise<void> {
    await this.request('evm_setIntervalMining', [0])
    await this.request('evm_setAutomine', [true])
  }

  /** Mines a block every `seconds`, with or without transactions. */
  async mineEvery(seconds: number): Promise<void> {
    await this.request('evm_setAutomine', [false])
    await this.request('evm_setIntervalMining', [seconds])
  }

  /** Mines only on `mine`. */
  async mineOnDemand(): Promise<void> {
    await this.request('evm_setIntervalMining', [0])
    await this.request('evm_setAutomine', [false])
  }

  /** Sets an account's balance in wei. */
  async setBalance(address: string, wei: bigint): Promise<void> {
    await this.request('anvil_setBalance', [address, `0x${wei.toString(16)}`])
  }

  /** Stops the process; resolves once it has exited. */
  async stop(): Promise<void> {
    await release(this.#process)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Reads anvil's output until it names its port. */
function listeningPort(child: Leashed): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let said = ''
  const timer = setTimeout(() => fail('did not listen in time'), START_TIMEOUT_MS)
  const fail = (why: string) => {
    clearTimeout(timer)
    reject(new NodeError('anvil-failed', `anvil ${why}: ${said.trim().slice(-500) || 'it said nothing'}`))
  }
  const hear = (chunk: Buffer) => {
    // Later output is discarded: an unread pipe would block anvil, and a stored log would grow.
    if (said.length > 100_000) return
    said += chunk.toString()
    const match = /Listening on [\d.]+:(\d+)/.exec(said)
    if (!match) return
    clearTimeout(timer)
    resolve(Number(match[1]))
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  child.once('error', (error) => fail(`could not be started (${error.message})`))
  child.once('exit', () => fail('ended before it listened'))
  return promise
}

/** The program itself, without npm's wrapper script. */
function anvilBinary(): string {
  const require = createRequire(import.meta.url)
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const name = `@foundry-rs/anvil-${process.platform}-${architecture}`
  const home = dirname(dirname(require.resolve('@foundry-rs/anvil/package.json')))
  const path = join(dirname(home), name, 'bin', 'anvil')
  if (!existsSync(path)) {
    throw new NodeError('anvil-failed', `anvil is not installed for this machine (${name}): run \`npm ci\``)
  }
  return path
}
