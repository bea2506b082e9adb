import type { AlertFacts } from '../../src/domain/alerts.ts'

/** What alerts judge from at a node that cannot tell anything. */
export const NOTHING_KNOWN: AlertFacts = {
  ...{
    nowMs: 0,
    sinceMs: 3_600_000,
    causes: [],
    rounds: null,
    reward: null,
    firstTicket: null,
    recipient: null,
  },
  ...{ account: null, deposit: null, members: [], certificateExpiresAtMs: null, devices: [], disk: null },
}
