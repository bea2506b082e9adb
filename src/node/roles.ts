import type { Role } from '../config/settings.ts'
import type { Service } from '../lib/service.ts'

/** The roles in the order of starting: nodes that others wait for come first, what is done now and then comes last. */
const ORDER: readonly Role[] = [
  'gateway',
  'orchestrator',
  'redeemer',
  'transcoder',
  'roundInitializer',
  'reward',
]

/**
 * The services of a node in the order of starting. Each role lists all that it needs, each service after those that it
 * uses; a service that two roles need is started with the first.
 */
export function servicesOf(
  parts: Readonly<Record<Role, { readonly services: readonly Service[] } | null>>,
): readonly Service[] {
  return [...new Set(ORDER.flatMap((role) => parts[role]?.services ?? []))]
}
