import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../devnet/free-port.ts'
import { encodedPixels } from '../../src/domain/balance.ts'
import { defaultCapabilities } from '../../src/domain/capabilities.ts'
import type { NodeEvent } from '../../src/domain/events.ts'
import { MemoryObjects } from '../../src/io/objects/memory-objects.ts'
import { OrchestratorClient } from '../../src/io/rpc/orchestrator-client.ts'
import { OrchestratorEndpoint } from '../../src/io/rpc/orchestrator-endpoint.ts'
import type { NameLookup } from '../../src/io/rpc/peer-exchange.ts'
import { Endpoint } from '../../src/io/rpc/server.ts'
import { Store } from '../../src/io/store/store.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { seededDice, systemDice } from '../../src/lib/dice.ts'
import { silentLog } from '../../src/lib/log.ts'
import { Rational } from '../../src/lib/rational.ts'
import { Supervisor } from '../../src/lib/service.ts'
import { Discovery } from '../../src/services/gateway/discovery.ts'
import { Gateway } from '../../src/services/gateway/gateway.ts'
import { OrchestratorAccounts } from '../../src/services/gateway/orchestrator-accounts.ts'
import { TicketSender } from '../../src/services/gateway/ticket-sender.ts'
import { Orchestrator } from '../../src/services/orchestrator/orchestrator.ts'
import type { SegmentEnd } from '../../src/services/orchestrator/payment-records.ts'
import { PriceBook } from '../../src/services/orchestrator/price-book.ts'
import { SecretRing } from '../../src/services/orchestrator/secret-ring.ts'
import { Rounds } from '../../src/services/protocol/rounds.ts'
import { FakeChain } from './chain.ts'
import { FakeMedia, keyOf, keySigner, WEIGHTS } from './gateway.ts'
import { profileOf } from './profile.ts'
import { ORCHESTRATOR, recipientOn } from './recipient-world.ts'

export const PROFILE = profileOf({ name: 'p', width: 16, height: 16, bitrate: 100_000, fps: 30, fpsDen: 0 })
/** The pixels that a segment of two seconds is charged with: as many as its rendition has bytes. */
export const PIXELS = encodedPixels([PROFILE], 2_000)
const PRICE = 1_000n
/** The cost of a segment, in wei. */
export const FEE = PIXELS * PRICE
const PLENTY = 10n ** 18n
/** However busy the machine of the test is. */
const PATIENT = { manifestId: null, profiles: null, timeoutMultiplier: 10, forceSessionReinit: false }
const LEAVING_MS = 20_000
const never = new AbortController().signal

/** An orchestrator of a cluster: its own server, key and memory; the store is the cluster's. */
export interface ClusterNode {
  /** Where it is reached. */
  readonly port: number
  /** Ends it as a kill does: connections are cut, new ones refused, and nothing more is written down. */
  kill(): Promise<void>
  revive(): Promise<void>
  /** Takes no new connection and gives up those that there are, as before a planned stop. */
  leave(): Promise<void>
  comeBack(): Promise<void>
}

/** A port in front of a server: what peers see of a process that is killed and started again. */
class Gate implements AsyncDisposable {
  readonly port: number
  readonly #host: string
  readonly #toPort: number
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null

  constructor({ host, port }: { readonly host: string; readonly port: number }, toPort: number) {
    this.#host = host
    this.port = port
    this.#toPort = toPort
  }

  async open(): Promise<void> {
    const server = createServer((near) => {
      const far = connect(this.#toPort, '127.0.0.1')
      for (const socket of [near, far]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.once('close', () => {
          this.#sockets.delete(socket)
          near.destroy()
          far.destroy()
        })
      }
      near.pipe(far).pipe(near)
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, this.#host, resolve)
    })
  }

  /** Refuses new connections. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (!server) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      if (this.#sockets.size > 0) resolve()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.close()
  }
}

/**
 * Nodes that share a store, tokens, tickets and results, and advertise the address of what is in front of them. `samePort`: all
 * listen there, each on a loopback address of its own, 127.0.0.1 and those after it.
 */
export async function startClusterNodes(
  count: number,
  options: { ticketEv: bigint; url: string; samePort?: number },
) {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-cluster-nodes-'))
  const chain = new FakeChain()
  const store = new Store({ location: join(folder, 'node.sqlite3') }, { dice: systemDice })
  await store.open()
  const supervisor = new Supervisor()
  const env = { clock: systemClock, dice: systemDice, log: silentLog }
  const events: NodeEvent[] = []
  const results = new MemoryObjects({ baseUrl: `${options.url}/stream/` })
  const capabilities = defaultCapabilities('1.0.0')
  const work = { ms: 0 }
  const gates: Gate[] = []

  async function startNode(number: number): Promise<ClusterNode> {
    let isDead = false
    const own = mortal(store, () => isDead)
    const tell = (event: NodeEvent) => {
      // A dead process refuses nothing: its store does not answer it.
      if (!isDead || event.kind !== 'payment-refused') events.push(event)
    }
    const { activity, recipient, rounds, secret, senders } = recipientOn(
      {
        ...{ chain, clock: systemClock, dice: systemDice, store: own, winners: { adopt: () => {} } },
        priceBook: new PriceBook(() => Rational.of(PRICE)),
        events: { tell },
      },
      {
        ...{ recipient: ORCHESTRATOR, ticketEv: options.ticketEv, redeemGas: 350_000n, maxFaceValue: 0n },
        autoAdjustPrice: false,
      },
    )
    const authKeys = new SecretRing('auth-token', { secrets: own, clock: systemClock, log: silentLog })
    const offer = { nodes: [], capabilities, offchain: false, recipient: ORCHESTRATOR, version: '1.0.0' }
    const orchestrator = new Orchestrator(
      {
        ...{ ...offer, maxSessions: 100, serviceUri: options.url },
      },
      {
        ...{ ...env, results, authKeys, recipient, signer: keySigner(keyOf(number)), events: { tell } },
        transcoder: {
          transcode: async ({ onBegin, profiles }, signal) => {
            onBegin?.()
            if (work.ms > 0) await systemClock.sleep(work.ms, signal)
            const bytes = Buffer.alloc(Number(PIXELS), 'r')
            const rendition = { bytes, pixels: PIXELS, perceptualHash: null }
            return { decodedPixels: 1n, renditions: profiles.map(() => rendition) }
          },
        },
      },
    )
    const endpoint = new Endpoint(
      {
        ...{ name: 'service endpoint', host: '127.0.0.1', port: 0, drainMs: 100 },
        tls: { hostname: 'localhost', directory: join(folder, String(number)) },
      },
      {
        ...env,
        routes: [new OrchestratorEndpoint({}, { ...env, api: orchestrator, fetchSource: null })],
      },
    )
    for (const service of [rounds, senders, activity, secret, authKeys, recipient, orchestrator, endpoint])
      await supervisor.start(service)
    const { samePort } = options
    const at = samePort ? { host: `127.0.0.${number}`, port: samePort } : await freeAddress()
    const gate = new Gate(at, endpoint.port)
    await gate.open()
    gates.push(gate)
    return {
      port: gate.port,
      kill: async () => {
        isDead = true
        await gate[Symbol.asyncDispose]()
      },
      revive: async () => {
        isDead = false
        await gate.open()
      },
      leave: async () => {
        await gate.close()
        await endpoint.leave(LEAVING_MS, never)
      },
      comeBack: async () => {
        await endpoint.comeBack()
        await gate.open()
      },
    }
  }
  const nodes: ClusterNode[] = []
  for (let number = 1; number <= count; number++) nodes.push(await startNode(number))
  return {
    ...{ chain, events, folder, nodes, store, work },
    /** What payments were credited, in wei. */
    get credited(): Rational {
      return events.reduce(
        (sum, event) => (event.kind === 'tickets-received' ? sum.add(event.credit) : sum),
        Rational.zero,
      )
    },
    /** The codes of refused payments. */
    get refused(): string[] {
      return events.flatMap((event) => (event.kind === 'payment-refused' ? [event.reason] : []))
    },
    async [Symbol.asyncDispose]() {
      for (const gate of gates) await gate[Symbol.asyncDispose]()
      await supervisor.stop()
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const freeAddress = async () => ({ host: '127.0.0.1', port: await freePort() })

/** The store as a node sees it that may die. What it held for running segments ends with it, uncharged. */
function mortal(store: Store, isDead: () => boolean): Store {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        if (!isDead()) return member.apply(target, args)
        if (name === 'endSegment') return store.endSegment({ ...(args[0] as SegmentEnd), fee: null })
        return Promise.reject(new Error('killed'))
      }
    },
  })
}

/** A gateway on the cluster's chain that knows one address; complete except for FFmpeg. */
export async function startGatewayAt(
  cluster: Awaited<ReturnType<typeof startClusterNodes>>,
  url: string,
  names: NameLookup = {},
) {
  const supervisor = new Supervisor()
  const env = { clock: systemClock, dice: seededDice('gateway'), log: silentLog }
  const signer = keySigner(keyOf(77))
  cluster.chain.fund(signer.address, PLENTY, PLENTY)
  cluster.chain.mine()
  const rounds = new Rounds({ chain: cluster.chain, watch: cluster.chain, ...env })
  await supervisor.start(rounds)
  const events: NodeEvent[] = []
  const tell = (event: NodeEvent) => void events.push(event)
  const accounts = new OrchestratorAccounts(env)
  const payer = new TicketSender(
    { maxTicketEv: Rational.of(PLENTY), maxTotalEv: Rational.of(PLENTY), depositMultiplier: 1n },
    {
      ...{ ...env, signer, rounds, accounts },
      funds: { info: async (sender) => cluster.chain.fundsOf(sender) },
    },
  )
  const client = new OrchestratorClient(names)
  const directory = new Discovery(
    { timeoutMs: 500, extraNodes: 0, blocklist: [] },
    {
      source: {
        candidates: async () => [{ url, trust: 'trusted', mustBePayable: true, reach: 'any' }],
        stakeOf: () => 1n,
      },
      ...{ client, signer, payer, ...env, events: { tell } },
    },
  )
  const gateway = new Gateway(
    {
      ...{ maxSessions: 100, maxAttempts: 3, profiles: [PROFILE], weights: WEIGHTS },
      ...{ localVerify: true, minOrchestratorVersion: '' },
    },
    {
      facts: { stakeOf: () => 1n, perfScoreOf: () => null },
      ...{ directory, client, payer, signer, media: new FakeMedia(), store: new MemoryObjects(), ...env },
      events: { tell },
    },
  )
  await supervisor.start(client)
  await supervisor.start(gateway)
  let sequence = 0n
  return {
    ...{ accounts, events },
    /** Sends the next segment of a stream; the text of its failure, or null. */
    push: async (externalId = 'movie'): Promise<string | null> => {
      const bytes = Buffer.from(`codec=h264 number=${sequence}`)
      try {
        await gateway.serve(
          {
            ...{ externalId, sequence: sequence++, format: 'mpegts', bytes, durationMs: 2_000 },
            ...{ resolution: '16x16', clip: null, config: PATIENT },
          },
          never,
        )
        return null
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    },
    /** What was paid in tickets, each payment once, and the accepted part of it; in wei. */
    get sent(): Rational {
      return ticketsOf(events, 'payment-sent')
    },
    get accepted(): Rational {
      return ticketsOf(events, 'payment-accepted')
    },
    /** Why segments were sent again. */
    get resent(): string[] {
      return events.flatMap((event) => (event.kind === 'segment-resent' ? [event.cause] : []))
    },
    countOf: (kind: NodeEvent['kind']) => events.filter((event) => event.kind === kind).length,
    [Symbol.asyncDispose]: () => supervisor.stop(),
  }
}

function ticketsOf(events: readonly NodeEvent[], kind: 'payment-sent' | 'payment-accepted'): Rational {
  return events.reduce((sum, event) => (event.kind === kind ? sum.add(event.value) : sum), Rational.zero)
}
