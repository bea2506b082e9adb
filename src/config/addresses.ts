import { isIPv6 } from 'node:net'
import { bracketed, hostAndPort } from '../lib/hosts.ts'
import { SettingsError, shown } from './load-flags.ts'

/** Where to listen. */
export interface Bind {
  /** A name or IP address without brackets; empty for all interfaces. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

/** Where to call. */
export interface PeerUrl {
  /** Scheme, host and port, without a slash at the end. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Whether the port was not written. */
  readonly portAssumed: boolean
}

/** The port of orchestrators and redeemers (operations.md §2.1). */
export const DEFAULT_PEER_PORT = 8935

const HOST_NAME = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$/

/**
 * An address to listen on, with what is missing filled in (operations.md §2.1): `:8935`, `host`, `host:port`, IPv6 in
 * brackets. A default port of null leaves it open. Throws SettingsError.
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
      `${spelled} ${shown(text)} is no address to listen on: write HOST:PORT, such as ${printBind({ host: defaults.host, port: defaults.port ?? DEFAULT_PEER_PORT })}`,
    )
  }
  return { host: parts.host === '' ? defaults.host : parts.host, port: port ?? defaults.port }
}

/**
 * Address of a peer as a URL: https:// and port 8935 where they are not written. Throws SettingsError, `what` being
 * the beginning of its sentence.
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
      `${what} ${shown(maskUser(text))} is no address of a node: write HOST:PORT, such as node.example:${DEFAULT_PEER_PORT}`,
    )
  }
  return {
    url: `${scheme}://${hostAndPort(host, port ?? DEFAULT_PEER_PORT)}`.toLowerCase(),
    host: host.toLowerCase(),
    port: port ?? DEFAULT_PEER_PORT,
    portAssumed: port === undefined,
  }
}

/** A host, and its port where one is written; null for what is neither. IPv6 with a port is written in brackets. */
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

/** Host and port, each '' when not written; null for what cannot be either. IPv6 is given in its shortest spelling. */
function split(text: string): { host: string; port: string } | null {
  const [, ipv6, ipv6Port = ''] = /^\[([^\]]*)\](?::(.*))?$/s.exec(text) ?? []
  if (ipv6 !== undefined) {
    // A zone names an interface of one machine, and has no place in a URL.
    if (!isIPv6(ipv6) || ipv6.includes('%')) return null
    return { host: new URL(`http://[${ipv6}]`).hostname.slice(1, -1), port: ipv6Port }
  }
  const [host = '', port = '', ...more] = text.split(':')
  return more.length === 0 && (host === '' || HOST_NAME.test(host)) ? { host, port } : null
}

/** Whether `::1:8935` has a port cannot be told, so brackets are asked for. Throws SettingsError. */
function refuseBareIpv6(what: string, address: string, text = address): void {
  const meant = bracketed(address)
  if (meant === null) return
  const whole = text.replace(address, () => meant)
  throw new SettingsError(
    'bad-setting',
    `${what} ${shown(text)} has an IPv6 address without brackets: write ${whole}`,
  )
}

/** Undefined when not written, null when it is no port. */
function parsePort(text: string, least: number): number | undefined | null {
  if (text === '') return undefined
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  return port >= least && port <= 65535 ? port : null
}

function maskUser(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//***@')
}
