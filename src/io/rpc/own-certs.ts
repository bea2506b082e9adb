import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import { join } from 'node:path'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import { type Identity, makeCertificate } from './certificate.ts'

/** Why the operator's certificates cannot be used. */
export type CertsFault = 'bad-certs'

/**
 * Certificates by which an operator's nodes authenticate each other: one authority, whose key is kept off the machines,
 * and a certificate for each node with the hosts at which others reach it.
 */

const AUTHORITY = 'livepeer operator'
/** They last long because replacing them all is work for the operator. */
const VALID_MS = 10 * 365.25 * 24 * 3600 * 1000
const EXPIRES_SOON_MS = 30 * 24 * 3600 * 1000

const AUTHORITY_FILE = 'ca.pem'
const AUTHORITY_KEY_FILE = 'ca-key.pem'
const CERTIFICATE_FILE = 'cert.pem'
const KEY_FILE = 'key.pem'

/** What a node presents to the operator's other nodes, and what it verifies them with, as PEM. */
export interface OwnCerts extends Identity {
  readonly ca: string
  /** In ms since the epoch. */
  readonly expiresAtMs: number
}

/** A node that gets a certificate. */
export interface CertifiedNode {
  /** Also the name of its folder. */
  readonly name: string
  /** Names and addresses at which other nodes call it. */
  readonly hosts: readonly string[]
}

/** The TLS settings that both ends share. */
export function contextOf({ ca, cert, key }: OwnCerts): SecureContextOptions {
  return { ca, cert, key }
}

/**
 * Makes a folder of certificates for each node, and the authority if there is none. Overwrites nothing: throws
 * NodeError `bad-certs` before it writes. Returns whether the authority is new.
 */
export function makeOwnCerts(
  directory: string,
  nodes: readonly CertifiedNode[],
  needs: { clock: Clock; dice: Dice },
): { readonly isNewAuthority: boolean } {
  for (const { name } of nodes) {
    const folder = join(directory, name)
    if (existsSync(folder)) {
      throw bad(`${folder} already exists: remove it first if ${name} should get a new certificate`)
    }
  }
  const known = readAuthority(directory)
  const authority = known ?? makeAuthority(needs)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (!known) {
      save(join(directory, AUTHORITY_KEY_FILE), authority.key)
      save(join(directory, AUTHORITY_FILE), authority.cert)
    }
    for (const node of nodes) {
      const folder = join(directory, node.name)
      const { cert, key } = certify(node, authority, needs)
      mkdirSync(folder, { mode: 0o700 })
      save(join(folder, KEY_FILE), key)
      save(join(folder, CERTIFICATE_FILE), cert)
      save(join(folder, AUTHORITY_FILE), authority.cert)
    }
  } catch (error) {
    throw bad(`certificates cannot be written to ${directory}: ${messageOf(error)}`)
  }
  return { isNewAuthority: known === null }
}

/**
 * Reads a node's folder of certificates and checks that they are usable. Throws NodeError `bad-certs` with what to
 * change.
 */
export function readOwnCerts(directory: string, needs: { clock: Clock }): OwnCerts {
  const [ca, cert, key] = [AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE].map((file) =>
    read(join(directory, file)),
  ) as [string, string, string]
  let own: { certificate: X509Certificate; authority: X509Certificate; fits: boolean }
  try {
    const certificate = new X509Certificate(cert)
    const authority = new X509Certificate(ca)
    own = { certificate, authority, fits: certificate.checkPrivateKey(createPrivateKey(key)) }
  } catch (error) {
    throw bad(
      `-certs ${directory} does not hold certificates (${messageOf(error)}): give a node's folder as 'livepeer certs' made it`,
    )
  }
  if (!own.fits)
    throw bad(`${KEY_FILE} and ${CERTIFICATE_FILE} of -certs ${directory} do not belong together`)
  if (!own.certificate.verify(own.authority.publicKey)) {
    throw bad(`${CERTIFICATE_FILE} of -certs ${directory} was not signed by the ${AUTHORITY_FILE} beside it`)
  }
  const expiresAtMs = Math.min(+own.certificate.validToDate, +own.authority.validToDate)
  if (expiresAtMs <= needs.clock.now()) {
    throw bad(
      `the certificates in -certs ${directory} expired on ${dateOf(expiresAtMs)}: make new ones with 'livepeer certs'`,
    )
  }
  return { ca, cert, key, expiresAtMs }
}

/** A warning for the operator when certificates expire soon; otherwise null. */
export function expiryWarning({ expiresAtMs }: OwnCerts, nowMs: number): string | null {
  if (expiresAtMs - nowMs > EXPIRES_SOON_MS) return null
  return `the certificates of -certs expire on ${dateOf(expiresAtMs)}: make new ones with 'livepeer certs' before`
}

/**
 * The fingerprint of the operator's certificate that the peer of a connection has shown and whose key it has proven to
 * hold; null without one. A resumed session has the certificate it started with, or none.
 */
export function ownPeerOf(socket: Socket, own: OwnCerts): string | null {
  const { authorized, getPeerX509Certificate } = socket as Partial<TLSSocket>
  if (!authorized || !getPeerX509Certificate) return null
  const shown = getPeerX509Certificate.call(socket)
  return shown?.verify(new X509Certificate(own.ca).publicKey) ? shown.fingerprint256 : null
}

/** Why a peer's certificate is refused, in words that tell what to change; null for any other error. */
export function distrust(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return "its certificate is for other hosts: make one that names this host with 'livepeer certs'"
  }
  const isStrange = STRANGE.has(code) || code.startsWith('ERR_TLS_CERT') || code.startsWith('CERT_')
  if (!isStrange) return null
  return "it shows no certificate of this operator: give it a folder of the same 'livepeer certs' as -certs, or leave -certs out here"
}

/** OpenSSL's codes for certificates that no trusted authority has signed. */
const STRANGE: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

function makeAuthority(needs: { clock: Clock; dice: Dice }): Identity {
  return makeCertificate(
    {
      ...{ name: AUTHORITY, issuer: null, dnsNames: [], ipAddresses: [], validMs: VALID_MS },
      ...{ maySign: true, mayServe: false, mayCall: false },
    },
    needs,
  )
}

function certify(
  { hosts, name }: CertifiedNode,
  authority: Identity,
  needs: { clock: Clock; dice: Dice },
): Identity {
  return makeCertificate(
    {
      name,
      issuer: { name: AUTHORITY, key: createPrivateKey(authority.key) },
      dnsNames: hosts.filter((host) => isIP(host) === 0),
      ipAddresses: hosts.filter((host) => isIP(host) !== 0),
      ...{ maySign: false, mayServe: true, mayCall: true, validMs: VALID_MS },
    },
    needs,
  )
}

/** Null if there is none. */
function readAuthority(directory: string): Identity | null {
  const [certFile, keyFile] = [join(directory, AUTHORITY_FILE), join(directory, AUTHORITY_KEY_FILE)]
  const [hasCert, hasKey] = [existsSync(certFile), existsSync(keyFile)]
  if (!hasCert && !hasKey) return null
  if (!hasKey) {
    throw bad(
      `${certFile} exists, but ${AUTHORITY_KEY_FILE}, which signs new certificates, is missing: restore it, or give another folder`,
    )
  }
  if (!hasCert)
    throw bad(`${keyFile} exists, but ${AUTHORITY_FILE} is missing: restore it, or give another folder`)
  const authority = { cert: read(certFile), key: read(keyFile) }
  try {
    const fits = new X509Certificate(authority.cert).checkPrivateKey(createPrivateKey(authority.key))
    if (fits) return authority
  } catch {
    // Reported below.
  }
  throw bad(`${certFile} and ${keyFile} are not a certificate and its key: give another folder`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw bad(
      `${path} cannot be read (${messageOf(error)}): -certs is a node's folder as 'livepeer certs' made it`,
    )
  }
}

/** Creates a file that only the owner can read; an existing one is left unchanged. */
function save(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

function bad(sentence: string): NodeError {
  return new NodeError<CertsFault>('bad-certs', sentence)
}
