import type { ServiceAddress } from '../domain/duties.ts'
import type { Address } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { isLoopback } from '../lib/hosts.ts'
import type { Log } from '../lib/log.ts'
import { serviceUrl } from '../services/gateway/orchestrator-source.ts'

/** Why this node has no address to serve at. */
export type ServiceAddressFault = 'no-service-address'

/**
 * The address where gateways reach this orchestrator: the configured one, or else the one that the orchestrator it works
 * for has registered on chain. Warns when a node with its own account advertises the registered address, which may be
 * that of a balancer. Throws NodeError `no-service-address`.
 */
export async function serviceAddress(
  configured: ServiceAddress,
  node: {
    readonly account: Address
    /** The registered orchestrator that it works for. */
    readonly orchestrator: Address
    /** Whether gateways are on other machines. */
    readonly isPublic: boolean
    /** Whether it shares a store with others, which then serve the same sessions. */
    readonly isInCluster?: boolean
    /** The address that it is about to listen at, to be shown. */
    readonly listensAt?: string
  },
  needs: {
    /** Empty when none is registered. */
    registeredUri(of: Address): Promise<string>
    /** The account of the node that answers at a URL; null where none does. Absent: not asked. */
    answeringAt?(url: string): Promise<Address | null>
    log: Log
  },
): Promise<ServiceAddress> {
  const { orchestrator } = node
  /** False also when the chain cannot be asked: the node only uses it for a warning. */
  const isRegistered = async (url: string) => {
    try {
      const registered = await needs.registeredUri(orchestrator)
      return isSameUri(registered, url)
    } catch {
      return false
    }
  }
  const isOneOfSeveral = orchestrator !== node.account
  const isAlone = isOneOfSeveral && !node.isInCluster
  if (configured.kind === 'none') return configured
  if (configured.kind === 'url') {
    if (isAlone && (await isRegistered(configured.url))) needs.log.warn(adviceOn(orchestrator))
    return configured
  }
  if (isAlone) needs.log.warn(adviceOn(orchestrator))
  const registered = await needs.registeredUri(orchestrator)
  if (registered === '') {
    throw new NodeError<ServiceAddressFault>(
      'no-service-address',
      `${orchestrator} has no service address on chain: register one, or give this node's with -serviceAddr HOST:PORT`,
    )
  }
  const url = serviceUrl(registered)
  if (node.isPublic && isLoopback(new URL(url).hostname)) {
    throw new NodeError<ServiceAddressFault>(
      'no-service-address',
      `the service address of ${orchestrator} on chain is ${url}, which is reachable from this machine only: give this node's with -serviceAddr HOST:PORT`,
    )
  }
  // This node does not listen yet, so whoever answers with its account is another one.
  if (!isOneOfSeveral && !node.isInCluster && (await needs.answeringAt?.(url)) === node.account) {
    needs.log.warn(
      'another node of this account answers at the address on chain: give each its own -serviceAddr, or stop one',
      { account: node.account, registered: url, listensAt: node.listensAt },
    )
  }
  return { kind: 'url', url }
}

/** Whether two service addresses are the same once their missing parts are filled in; false for what is none. */
export function isSameUri(a: string, b: string): boolean {
  try {
    return serviceUrl(a) === serviceUrl(b)
  } catch {
    return false
  }
}

function adviceOn(orchestrator: Address): string {
  return `this orchestrator advertises the address that ${orchestrator} registered: that is right for a single orchestrator; behind a balancer, each of several needs its own -serviceAddr, or all need the same -store, or segments reach a node that does not know their session`
}
