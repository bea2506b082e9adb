import { Anvil, type AnvilOptions } from '../../devnet/anvil.ts'
import { Protocol, type ProtocolParameters } from '../../devnet/protocol.ts'
import { ChainClient, resolveContracts } from '../../src/io/chain/client.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'

/** A chain with the protocol on it and a client for it; disposing stops it. */
export interface ChainFixture extends AsyncDisposable {
  readonly anvil: Anvil
  readonly protocol: Protocol
  readonly rpc: Rpc
  readonly client: ChainClient
}

/** Starts anvil, deploys the protocol (with a block for each transaction) and connects. */
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
