import type { GraceLimits } from '../domain/grace.ts'
import { isUnspecified } from '../lib/hosts.ts'
import { parseHost } from './addresses.ts'
import { environmentName, shown } from './load-flags.ts'
import { isUrl, type Reading, refusal } from './reading.ts'
import type { Role, StoreSettings } from './settings.ts'

/** PostgreSQL's limit, for names that need no quotes. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** Whether a schema in PostgreSQL may have this name. */
export function isSchemaName(name: string): boolean {
  return SCHEMA_NAME.test(name) && !name.startsWith('pg_')
}

/** The URLs of a cluster's database; empty where none is given. */
export interface StoreUrls {
  readonly storeUrl: string
  readonly storeSessionUrl: string
}

/** Reads where the cluster's database is. Throws SettingsError, whose text shows nothing of a URL. */
export function readStoreUrls(reading: Reading): StoreUrls {
  const storeUrl = readUrl(reading, 'store')
  const storeSessionUrl = readUrl(reading, 'storeSessionUrl')
  if (storeUrl === '' && storeSessionUrl !== '') {
    throw refusal(`${reading.spelled('storeSessionUrl')} needs -store, the database of the cluster`)
  }
  return { storeUrl, storeSessionUrl: storeSessionUrl || storeUrl }
}

/** Reads how the cluster's database is used; null where there is none. Throws SettingsError. */
export function readStore(
  reading: Reading,
  roles: ReadonlySet<Role>,
  { storeUrl }: StoreUrls,
): StoreSettings | null {
  const { storeSchema: schema } = reading.flags
  if (storeUrl === '') {
    for (const name of ['storeSchema', 'storeGrace', 'storeGraceValue'] as const) {
      if (reading.has(name)) throw refusal(`${reading.spelled(name)} needs -store, the database`)
    }
    return null
  }
  if (roles.has('gateway') || (roles.has('transcoder') && !roles.has('orchestrator'))) {
    const role = roles.has('gateway') ? 'a gateway' : 'a standalone transcoder'
    throw refusal(
      `${reading.spelled('store')} is for orchestrators, redeemers, reward services and round initialisers, not for ${role}: leave it out`,
    )
  }
  if (!isSchemaName(schema)) {
    throw refusal(
      `${reading.spelled('storeSchema')} must be at most 63 small letters, digits and underscores, begin with a letter and not with pg_, not ${shown(schema)}`,
    )
  }
  if (roles.has('orchestrator') && reading.flags.httpAddr.trim().startsWith('http://')) {
    reading.warnings.push(
      `${reading.spelled('httpAddr')} is without TLS, by which the nodes of a cluster know one another, so the others hand no segments to this one: leave http:// out, and let the balancer speak TLS to it`,
    )
  }
  return { schema, grace: roles.has('orchestrator') ? readGrace(reading) : null }
}

function readGrace(reading: Reading): GraceLimits | null {
  const graceMs = reading.wait('storeGrace', 0)
  const { storeGraceValue: valueWei } = reading.flags
  if (valueWei < 0n)
    throw refusal(`${reading.spelled('storeGraceValue')} must be at least 0, not ${valueWei}`)
  return graceMs === 0 || valueWei === 0n ? null : { graceMs, valueWei }
}

/** Reads where the cluster's other nodes reach this one; null where that is found out. Throws SettingsError. */
export function readClusterAddress(
  reading: Reading,
  { storeUrl }: StoreUrls,
): { readonly host: string; readonly port: number | null } | null {
  const text = reading.flags.clusterAddr
  if (text === '') return null
  const spelled = reading.spelled('clusterAddr')
  if (storeUrl === '') throw refusal(`${spelled} needs -store, the database of the cluster`)
  const address = parseHost(text)
  if (!address) throw refusal(`${spelled} ${shown(text)} is not an address: write HOST:PORT or HOST`)
  if (isUnspecified(address.host)) {
    throw refusal(
      `${spelled} ${address.host} cannot be called: give the address at which the other nodes reach this one`,
    )
  }
  return address
}

function readUrl(reading: Reading, name: 'store' | 'storeSessionUrl'): string {
  const url = reading.textOrFile(name)
  if (url === '') return url
  if (isUrl(url, ['postgres:', 'postgresql:'])) {
    const spelled = reading.spelled(name)
    if (url === reading.flags[name] && spelled.startsWith('-') && URL.parse(url)?.password) {
      reading.warnings.push(
        `${spelled} is given with a password on the command line, which every user of this machine can read: write the URL to a file and give its path, or set ${environmentName(name)}`,
      )
    }
    return url
  }
  throw refusal(
    `${reading.spelled(name)} is neither a URL such as postgres://user:password@host:5432/database nor a file with one`,
  )
}
