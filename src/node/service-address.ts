import type { OrchestratorSettings } from '../config/settings.ts'
import type { Address } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import { isLoopback } from '../lib/hosts.ts'
import type { Log } from '../lib/log.ts'
import { serviceUrl } from '../services/gateway/orchestrator-source.ts'

/** Why this node has no address to serve at. */
export type ServiceAddressFault = 'no-service-address'

type Service = OrchestratorSettings['service']

/**
 * Where gateways reach this orchestrator: where it was told, or else where the orchestrator that it works for is
 * registered on chain. One with an account of its own that advertises the registered address is warned: it may be a
 * balancer's. Throws NodeError `no-service-address`.
 */
export async function serviceAddress(
  told: Service,
  who: {
    readonly account: Address
    /** Whom it works for. */
    readonly orchestrator: Address
    /** Whether gateways are on other machines. */
    readonly isPublic: boolean
  },
  needs: { /** Empty when none is registered. */ registeredUri(of: Address): Promise<string>; log: Log },
): Promise<Service> {
  const { orchestrator } = who
  /** No where that cannot be known: the node can do without. */
  const isRegistered = async (url: string) => {
    try {
      const registered = await needs.registeredUri(orchestrator)
      return registered !== '' && serviceUrl(registered) === url
    } catch {
      return false
    }
  }
  const isOneOfSeveral = orchestrator !== who.account
  if (told.kind === 'none') return told
  if (told.kind === 'url') {
    if (isOneOfSeveral && (await isRegistered(told.url))) needs.log.warn(adviceOn(orchestrator))
    return told
  }
  if (isOneOfSeveral) needs.log.warn(adviceOn(orchestrator))
  const registered = await needs.registeredUri(orchestrator)
  if (registered === '') {
    throw new NodeError<ServiceAddressFault>(
      'no-service-address',
      `${orchestrator} has no service address on chain: register one, or give this node's with -serviceAddr HOST:PORT`,
    )
  }
  const url = serviceUrl(registered)
  if (who.isPublic && isLoopback(new URL(url).hostname)) {
    throw new NodeError<ServiceAddressFault>(
      'no-service-address',
      `the service address of ${orchestrator} on chain is ${url}, which leads to this machine only: give this node's with -serviceAddr HOST:PORT`,
    )
  }
  return { kind: 'url', url }
}

function adviceOn(orchestrator: Address): string {
  return `this orchestrator advertises the address that ${orchestrator} registered: that is right for one orchestrator alone; of several behind a balancer each needs its own -serviceAddr, or segments reach a node that does not know their session`
}
