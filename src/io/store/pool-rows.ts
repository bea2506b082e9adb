import { z } from 'zod'
import { parseAddress } from '../../lib/crypto.ts'
import type { KeptPool } from '../../services/gateway/orchestrator-source.ts'

/** Far more than the protocol's pool has. */
const MAX_MEMBERS = 10_000
const MAX_URI_CHARS = 2_000

const whole = z
  .string()
  .regex(/^\d{1,78}$/)
  .transform(BigInt)
const kept = z.object({
  readAtMs: z.number(),
  members: z
    .array(
      z.object({
        address: z.string().transform(parseAddress),
        serviceUri: z.string().max(MAX_URI_CHARS),
        ...{ stake: whole, activationRound: whole, deactivationRound: whole },
      }),
    )
    .max(MAX_MEMBERS),
})

/** The pool of orchestrators in a text that was kept; null in any other text, whatever wrote it. */
export function poolInText(text: string | null): KeptPool | null {
  try {
    return text === null ? null : kept.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** The text of a pool. Addresses on chain that are too long to be called are left out. */
export function textOfPool({ members, readAtMs }: KeptPool): string {
  return JSON.stringify({
    readAtMs,
    members: members
      .filter(({ serviceUri }) => serviceUri.length <= MAX_URI_CHARS)
      .slice(0, MAX_MEMBERS)
      .map(({ activationRound, address, deactivationRound, serviceUri, stake }) => ({
        ...{ address, serviceUri, stake: String(stake) },
        ...{ activationRound: String(activationRound), deactivationRound: String(deactivationRound) },
      })),
  })
}
