import { z } from 'zod'
import { ALERT_CODES, type AlertCode } from '../../domain/alerts.ts'
import type { KeptAlert } from '../../services/alerts/alert-log.ts'

const MAX_KEPT = 1_000

const kept = z
  .array(
    z.object({
      code: z.enum(ALERT_CODES as [AlertCode, ...AlertCode[]]),
      ...{ about: z.string(), says: z.string(), change: z.string() },
      ...{ sinceMs: z.number(), endedAtMs: z.number().nullable() },
      told: z.record(z.string(), z.enum(['firing', 'over'])),
    }),
  )
  .max(MAX_KEPT)

/** The alerts in a text that was kept; none in any other text. */
export function alertsInText(text: string | null): readonly KeptAlert[] {
  try {
    return text === null ? [] : kept.parse(JSON.parse(text))
  } catch {
    return []
  }
}
