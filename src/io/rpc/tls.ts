import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { withoutBrackets } from '../../lib/hosts.ts'
import { type Identity, makeCertificate } from './certificate.ts'

/** Validity of a certificate, in ms (wire.md §2). */
const VALID_MS = 8765 * 3600 * 1000

/**
 * Makes a self-signed P-256 certificate for one host name, in the form that the network's nodes use (wire.md §2). Peers
 * do not verify it: it only encrypts the connection.
 */
export function makeIdentity(hostname: string, needs: { clock: Clock; dice: Dice }): Identity {
  const host = withoutBrackets(hostname)
  // Peers write IPv4 as a DNS name, but readers refuse a certificate with an IPv6 address there.
  const names = isIPv6(host) ? { dnsNames: [], ipAddresses: [host] } : { dnsNames: [host], ipAddresses: [] }
  return makeCertificate(
    {
      ...{ name: null, issuer: null, ...names },
      ...{ mayServe: true, mayCall: false, maySign: true, validMs: VALID_MS },
    },
    needs,
  )
}

/** Writes an identity into the data directory, `cert.pem` and `key.pem`; only the owner may read the key (wire.md §2). */
export async function saveIdentity(directory: string, identity: Identity): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'cert.pem'), identity.cert)
  const keyFile = join(directory, 'key.pem')
  await writeFile(keyFile, identity.key, { mode: 0o600 })
  // An existing file keeps its own mode.
  await chmod(keyFile, 0o600)
}
