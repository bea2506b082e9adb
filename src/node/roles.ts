import type { Role } from '../config/settings.ts'
import type { Service } from '../lib/service.ts'
import type { Parts } from './parts.ts'

/**
 * What each role starts, in the order in which the roles start: those that serve other machines come first, those that
 * only send transactions last. A role's list is complete: each of its services comes after those that it uses.
 */
const roles: Readonly<Record<Role, (parts: Parts) => readonly Service[] | undefined>> = {
  gateway: ({ gateway }) => gateway?.services,
  orchestrator: ({ orchestrator }) => orchestrator?.services,
  redeemer: ({ redeemer }) => redeemer?.services,
  transcoder: ({ transcoder }) => transcoder?.services,
  roundInitializer: ({ roundInitializer }) => roundInitializer?.services,
  reward: ({ reward }) => reward?.services,
}

/**
 * The services of a node in the order of starting. A service that several roles use starts with the first of them. Membership
 * in a cluster follows the store at once, so that a second process of one node id does nothing before it is refused.
 */
export function servicesOf(parts: Parts): readonly Service[] {
  const { chain, cluster, core } = parts
  // An operator may send with the account of any node; of a cluster's nodes, its leader sends.
  const sending = chain && !cluster ? [...chain.following, chain.gas, ...chain.sending] : []
  const services = new Set([
    ...Object.values(roles).flatMap((servicesIn) => servicesIn(parts) ?? []),
    ...sending,
  ])
  return [...services].flatMap((service) =>
    service === core.store && cluster ? [service, cluster.members] : [service],
  )
}
