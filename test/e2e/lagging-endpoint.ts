import { RpcShim } from '../rpc-shim.ts'

/** An RPC endpoint that is up and well but so many blocks behind its chain, whatever it is asked. */
export function laggingEndpoint(chainUrl: () => string, blocks: number): Promise<RpcShim> {
  return RpcShim.start(chainUrl, async ({ forward, method, params }) => {
    const newest = Math.max(0, Number(await forward('eth_blockNumber', [])) - blocks)
    const tag = `0x${newest.toString(16)}`
    if (method === 'eth_blockNumber') return tag
    // What names no block means the newest.
    const isOpen = method === 'eth_estimateGas' && params.length === 1
    const named = [...params, ...(isOpen ? ['latest'] : [])]
    const answer = await forward(
      method,
      named.map((param) => (param === 'latest' ? tag : param)),
    )
    const { blockNumber } = (answer ?? {}) as { blockNumber?: string }
    return method === 'eth_getTransactionReceipt' && Number(blockNumber) > newest ? null : answer
  })
}
