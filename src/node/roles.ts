import type { Role } from '../config/settings.ts'
import type { Service } from '../lib/service.ts'
import type { Parts } from './parts.ts'

/**
 * What each role runs, in the order of starting. What these need is made and started with them; parts that two roles
 * share are made once.
 */
export const roles: Readonly<Record<Role, (parts: Parts) => readonly Service[]>> = {
  gateway: (parts) => [parts.gateway, parts.gatewayHttp],
  // With an orchestrator in the same process the transcoder is its media engine.
  transcoder: (parts) => (parts.settings.orchestrator ? [parts.capacity] : [parts.standaloneTranscoder]),
  orchestrator: (parts) => [
    parts.orchestrator,
    parts.serviceEndpoint,
    ...(parts.checksItself ? [parts.selfCheck] : []),
  ],
  redeemer: (parts) => [parts.redeemerEndpoint],
  reward: (parts) => [parts.reward],
  roundInitializer: (parts) => [parts.roundInitializer],
}
