import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { NodeProcess } from '../../devnet/node-process.ts'
import type { ProtocolParameters } from '../../devnet/protocol.ts'
import type { AlertCode } from '../../src/domain/alerts.ts'
import { isAbort } from '../../src/lib/errors.ts'
import { HurriedClock } from '../fakes/hurried-clock.ts'
import { eventually } from '../tools/until.ts'
import { ControlledChain, type LocalNode, type LocalNodeOptions, type TestAccount } from './control-nodes.ts'
import { type Intercept, RpcShim } from './rpc-shim.ts'

/** Blocks come this often by the nodes' clock: seldom, so that rounds do not pass while nodes wait. */
const BLOCK_MS = 30_000
/** The nodes look as often at the chain. */
const POLLING = '-blockPollingInterval 10'
const PATIENCE_MS = 60_000

/** What a target was told of an alert. */
export interface Told {
  /** The node that told it. */
  readonly by: string
  readonly alert: AlertCode
  readonly status: 'firing' | 'over'
  readonly about: string
  readonly says: string
  readonly change: string
}

/**
 * Whole nodes with `-alert` on a chain with the contracts, to which faults happen; a target of webhooks; and the time of those
 * nodes that run in this process, which is hurried while something is waited for. Disposing stops all.
 */
export class AlertStage implements AsyncDisposable {
  readonly chain: ControlledChain
  readonly clock: HurriedClock
  /** Between the nodes of this process and the chain; a fault of the endpoint is put in here. */
  rpc: Intercept = ({ forward }) => forward()
  readonly #hook: Server
  readonly #shim: RpcShim
  readonly #stop = new AbortController()
  readonly #mining: Promise<void>
  readonly #told: Told[] = []
  /** How many of them a test has waited for. */
  readonly #expected = new Set<Told>()
  #underWay = 0

  private constructor(chain: ControlledChain, hook: Server, shim: RpcShim) {
    this.chain = chain
    this.#hook = hook
    this.#shim = shim
    this.clock = new HurriedClock(() => this.#underWay > 0)
    this.#mining = this.#mine()
    shim.intercept = async (request) => {
      this.#underWay++
      try {
        return await this.rpc(request)
      } finally {
        this.#underWay--
      }
    }
    hook.on('request', async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { alerts } = JSON.parse(body) as { alerts: Told[] }
      const by = request.url!.slice(1)
      this.#told.push(...alerts.map((alert) => ({ ...alert, by })))
      response.end()
    })
  }

  static async set(parameters: Partial<ProtocolParameters>): Promise<AlertStage> {
    const hook = createServer().listen(0, '127.0.0.1')
    await once(hook, 'listening')
    const chain = await ControlledChain.start(parameters)
    return new AlertStage(chain, hook, await RpcShim.start(chain.anvil.url))
  }

  /** Starts a node in this process, which tells its alerts under its name. */
  async node(
    name: string,
    flags: string,
    account: TestAccount,
    options: LocalNodeOptions = {},
  ): Promise<LocalNode> {
    const line = [flags, this.#flags(name), POLLING].filter((part) => part !== '').join(' ')
    return this.chain.node(name, line, account, { ethUrl: this.#shim.url, clock: this.clock, ...options })
  }

  /** A node as a process of its own, with its own time; it is not started yet. */
  process(name: string, flags: string, account: TestAccount): Promise<NodeProcess> {
    return this.chain.process(name, `${flags} ${this.#flags(name)}`, account)
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.now() + ms
    await this.clock.hurry(() => eventually('time passes', () => this.clock.now() >= endMs, PATIENCE_MS))
  }

  /** Waits until a node tells that something began, which its metric shows too. */
  async begins(by: string, node: LocalNode, alert: AlertCode): Promise<Told> {
    const told = await this.#wait(by, alert, 'firing')
    assert.equal(await metricOf(node, alert), 1, `livepeer_alert of ${alert}`)
    return told
  }

  /** Waits until a node tells that it is over, which its metric shows too. `times`: by how much time is hurried. */
  async ends(by: string, node: LocalNode, alert: AlertCode, times?: number): Promise<Told> {
    const told = await this.#wait(by, alert, 'over', times)
    assert.equal(await metricOf(node, alert), 0, `livepeer_alert of ${alert}`)
    return told
  }

  /** Nothing was told but what was waited for: each once. */
  assertNothingElse(): void {
    const others = this.#told.filter((told) => !this.#expected.has(told))
    assert.deepEqual(others, [])
  }

  async #wait(by: string, alert: AlertCode, status: Told['status'], times?: number): Promise<Told> {
    const find = () =>
      this.#told.find(
        (told) =>
          told.by === by && told.alert === alert && told.status === status && !this.#expected.has(told),
      )
    const what = `${by} tells ${alert} ${status}`
    await this.clock.hurry(
      () =>
        eventually(what, () => find() !== undefined, PATIENCE_MS).catch((error) => {
          throw new Error(`${error.message}; told: ${JSON.stringify(this.#told)}`)
        }),
      times,
    )
    const told = find()!
    this.#expected.add(told)
    return told
  }

  #flags(name: string): string {
    const { port } = this.#hook.address() as AddressInfo
    return `-monitor -alert http://127.0.0.1:${port}/${name}`
  }

  async #mine(): Promise<void> {
    try {
      for (;;) {
        await this.clock.sleep(BLOCK_MS, this.#stop.signal)
        await this.chain.anvil.mine()
      }
    } catch (error) {
      if (!isAbort(error)) throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#mining
    await this.chain[Symbol.asyncDispose]()
    await this.#shim[Symbol.asyncDispose]()
    await this.clock[Symbol.asyncDispose]()
    this.#hook.closeAllConnections()
    this.#hook.close()
  }
}

/** The metric of a rule, as the rules for Prometheus read it. */
async function metricOf(node: LocalNode, alert: AlertCode): Promise<number> {
  const { text } = await node.ask('GET', '/metrics')
  const line = text.split('\n').find((one) => one.startsWith('livepeer_alert{') && one.includes(`"${alert}"`))
  return Number(line?.split(' ').at(-1))
}
