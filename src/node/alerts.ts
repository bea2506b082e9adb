import { hostname } from 'node:os'
import { sendAlert } from '../io/http/alert-sender.ts'
import { LeaseRows } from '../io/store/lease-rows.ts'
import { formatHex } from '../lib/bytes.ts'
import { keccak256 } from '../lib/crypto.ts'
import { maskUrl } from '../lib/mask-url.ts'
import type { KeptAlert } from '../services/alerts/alert-log.ts'
import { type AlertKeeping, Alerts, type NamedTarget } from '../services/alerts/alerts.ts'
import type { NodeAlertFacts } from './alert-facts.ts'
import type { Parts } from './parts.ts'

/** The lease of the node that tells what concerns its whole cluster, and how long it is valid. */
const LEASE = 'alerts'
const LEASE_MS = 60_000
const ID_CHARS = 18

/** The service that tells the operator what needs action; null without `-alert`. */
export function alertsOf(
  parts: Parts,
  facts: NodeAlertFacts,
  { hasStore }: { readonly hasStore: boolean },
): Alerts | null {
  const { cluster, core, duties } = parts
  const { env, settings, store } = core
  const targets = settings.secrets.alertTargets.map((target): NamedTarget => {
    const { form, url } = target
    const id = formatHex(keccak256(new TextEncoder().encode(`${form} ${url}`))).slice(0, ID_CHARS)
    return { ...target, id, name: `${form} ${maskUrl(url)}` }
  })
  if (targets.length === 0) return null
  const node = cluster ? `${hostname()} (${cluster.members.node})` : hostname()
  const leases = cluster && new LeaseRows(store)
  const wish = cluster && {
    ...{ lease: LEASE, instance: cluster.members.instance, node: cluster.members.node },
    // One that keeps no tickets cannot tell when one of the cluster's is about to expire.
    ...{ rank: duties.keepsTickets ? 1 : 0, isWatched: false },
  }
  // What was told before a restart is over only after a while without it, which begins once all services work.
  const startMs = env.clock.now()
  const kept = new Map<AlertKeeping, readonly KeptAlert[]>()
  return new Alerts(
    { node: `${node} ${[...settings.roles].join('+')}`, targets },
    {
      ...{ clock: env.clock, log: env.log.child({ part: 'alerts' }) },
      look: async () => ({ ...(await facts.read()), sinceMs: env.clock.now() - startMs }),
      send: sendAlert,
      records: hasStore
        ? {
            load: (of) => store.records.loadAlerts(of),
            save: (of, alerts) => store.records.saveAlerts(of, alerts),
          }
        : { load: async (of) => kept.get(of) ?? [], save: async (of, alerts) => void kept.set(of, alerts) },
      ...(leases && wish && { leave: () => leases.release(LEASE, wish.instance) }),
      leads:
        leases && wish ? async () => (await leases.take(wish, LEASE_MS))?.instance === wish.instance : null,
    },
  )
}
