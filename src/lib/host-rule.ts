import { isPublicAddress } from './public-address.ts'

/** A host listed by the operator. */
export interface ListedHost {
  /** A name or IP address without brackets, in lower case. */
  readonly host: string
  /** Null for every port. */
  readonly port: number | null
}

/** Which hosts may be connected to at a peer's request. */
export interface HostRule {
  /** All public addresses. */
  readonly public: boolean
  /** These hosts as well, whatever their address. */
  readonly hosts: readonly ListedHost[]
  /** This address at this port as well. */
  readonly peer?: { readonly address: string; readonly port: number } | null
}

const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** The port of an http(s) URL; null for others. */
export function portOfUrl(url: URL): number | null {
  return Object.hasOwn(PORTS, url.protocol) ? Number(url.port) || PORTS[url.protocol]! : null
}

/** Which addresses of a URL's host, at this port, the rule allows. */
export function allowedAddresses(
  url: URL,
  port: number,
  { hosts, peer, public: takesPublic }: HostRule,
  isPublic: (ip: string) => boolean = isPublicAddress,
): (ip: string) => boolean {
  const name = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const isListed = hosts.some((listed) => listed.host === name && (listed.port ?? port) === port)
  if (isListed) return () => true
  return (ip) => (takesPublic && isPublic(ip)) || (peer?.address === ip && peer.port === port)
}
