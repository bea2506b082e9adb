import { asOf } from '../chain/rpc-habits.ts'
import { RpcShim } from '../chain/rpc-shim.ts'

/** An RPC endpoint that works but is always this many blocks behind its chain. */
export function laggingEndpoint(chainUrl: () => string, blocks: number): Promise<RpcShim> {
  return RpcShim.start(chainUrl, (request) => asOf(request, blocks))
}
