import { createServer } from 'node:net'
import { Anvil, type AnvilOptions } from '../devnet/anvil.ts'
import { Protocol, type ProtocolParameters } from '../devnet/protocol.ts'
import { ChainClient, resolveContracts } from '../src/io/chain/client.ts'
import { Rpc } from '../src/io/chain/rpc.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLog } from '../src/lib/log.ts'

/** A chain with the protocol on it and a client for it, gone when disposed. */
export interface ChainFixture extends AsyncDisposable {
  readonly anvil: Anvil
  readonly protocol: Protocol
  readonly rpc: Rpc
  readonly client: ChainClient
}

/** Starts anvil, deploys the protocol (mining a block for each transaction) and connects. */
export async function startChain(
  options: AnvilOptions & { parameters?: Partial<ProtocolParameters> } = {},
): Promise<ChainFixture> {
  const anvil = await Anvil.start(options)
  const protocol = await Protocol.deploy(anvil, options.parameters)
  const rpc = new Rpc({ urls: [anvil.url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
  const addresses = await resolveContracts(rpc, protocol.addresses.controller)
  const client = new ChainClient({ rpc, addresses })
  return { anvil, protocol, rpc, client, [Symbol.asyncDispose]: () => anvil.stop() }
}

/** Waits until the condition holds, looking every few milliseconds; fails with `what` when it does not in time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
