import { isIPv6 } from 'node:net'
import { bracketed, hostAndPort } from '../lib/hosts.ts'
import { quoted } from '../lib/printable.ts'
import { SettingsError, shown } from './load-flags.ts'

/** An address to listen on. */
export interface Bind {
  /** A name or IP address without brackets; empty for all interfaces. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

/** An address to call. */
export interface PeerUrl {
  /** Scheme, host and port, without a trailing slash. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Whether the port is the default because none was given. */
  readonly portAssumed: boolean
}

/** The port of orchestrators and redeemers (operations.md §2.1). */
export const DEFAULT_PEER_PORT = 8935

const HOST_NAME = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$/

/**
 * Parses an address to listen on and fills in what is missing (operations.md §2.1): `:8935`, `host`, `host:port`, IPv6
 * in brackets. With a default port of null, a missing port stays null. Throws SettingsError.
 */
export function parseBind<Port extends number | null>(
  spelled: string,
  text: string,
  defaults: { readonly host: string; readonly port: Port },
): { readonly host: string; readonly port: number | Port } {
  refuseBareIpv6(spelled, text.trim())
  const parts = split(text.trim())
  const port = parts && parsePort(parts.port, 0)
  if (!parts || port === null) {
    throw new SettingsError(
      'bad-setting',
      `${spelled} ${shown(text)} is not an address to listen on: write HOST:PORT, such as ${printBind({ host: defaults.host, port: defaults.port ?? DEFAULT_PEER_PORT })}`,
    )
  }
  return { host: parts.host === '' ? defaults.host : parts.host, port: port ?? defaults.port }
}

/**
 * Parses the address of a peer to a URL, with https:// and port 8935 as defaults. `what` begins the sentence of the
 * SettingsError it throws.
 */
export function parsePeer(what: string, text: string, defaultHost: string | null): PeerUrl {
  const [, scheme = 'https', rest = ''] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/s.exec(text.trim()) ?? []
  const address = rest.replace(/\/$/, '')
  refuseBareIpv6(what, address, text.trim())
  const parts = split(address)
  const port = parts && parsePort(parts.port, 1)
  const host = parts?.host || defaultHost
  if (!parts || port === null || !host || !/^https?$/i.test(scheme)) {
    throw new SettingsError(
      'bad-setting',
      `${what} ${shown(text)} is not a node address: write HOST:PORT, such as node.example:${DEFAULT_PEER_PORT}`,
    )
  }
  return {
    url: `${scheme}://${hostAndPort(host, port ?? DEFAULT_PEER_PORT)}`.toLowerCase(),
    host: host.toLowerCase(),
    port: port ?? DEFAULT_PEER_PORT,
    portAssumed: port === undefined,
  }
}

/** The port of an http or https URL, which does not keep the one that is its scheme's default. */
export function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

/** Splits a host and an optional port; null for any other text. IPv6 with a port must be in brackets. */
export function parseHost(text: string): { readonly host: string; readonly port: number | null } | null {
  const parts = split(text.trim())
  const port = parts && parsePort(parts.port, 1)
  if (!parts || port === null || parts.host === '') return null
  return { host: parts.host.toLowerCase(), port: port ?? null }
}

/** `host:port`, with brackets around IPv6 and a star for all interfaces. */
export function printBind({ host, port }: Bind): string {
  return hostAndPort(host === '' ? '*' : host, port)
}

/**
 * Host and port, each '' when missing; null when the text cannot be either. IPv6 is returned in its shortest spelling.
 */
function split(text: string): { host: string; port: string } | null {
  const [, ipv6, ipv6Port = ''] = /^\[([^\]]*)\](?::(.*))?$/s.exec(text) ?? []
  if (ipv6 !== undefined) {
    // A zone names an interface of one machine and cannot be part of a URL.
    if (!isIPv6(ipv6) || ipv6.includes('%')) return null
    return { host: new URL(`http://[${ipv6}]`).hostname.slice(1, -1), port: ipv6Port }
  }
  const [host = '', port = '', ...more] = text.split(':')
  return more.length === 0 && (host === '' || HOST_NAME.test(host)) ? { host, port } : null
}

/** `::1:8935` could be an address with or without a port, so brackets are required. Throws SettingsError. */
function refuseBareIpv6(what: string, address: string, text = address): void {
  const meant = bracketed(address)
  if (meant === null) return
  const whole = text.replace(address, () => meant)
  throw new SettingsError(
    'bad-setting',
    `${what} ${quoted(text)} has an IPv6 address without brackets: write ${whole}`,
  )
}

/** Undefined when missing, null when it is not a port. */
function parsePort(text: string, least: number): number | undefined | null {
  if (text === '') return undefined
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  return port >= least && port <= 65535 ? port : null
}
