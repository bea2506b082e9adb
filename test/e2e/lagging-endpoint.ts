import { asOf } from '../chain/rpc-habits.ts'
import { RpcShim } from '../chain/rpc-shim.ts'

/** An RPC endpoint that is up and well but so many blocks behind its chain, whatever it is asked. */
export function laggingEndpoint(chainUrl: () => string, blocks: number): Promise<RpcShim> {
  return RpcShim.start(chainUrl, (request) => asOf(request, blocks))
}
