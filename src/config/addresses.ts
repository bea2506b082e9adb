import { SettingsError, shown } from './load.ts'

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
const IPV6 = /^[0-9A-Fa-f:.]{2,45}$/

/**
 * An address to listen on, with what is missing filled in (operations.md §2.1): `:8935`, `host`, `host:port`, also
 * IPv6. A default port of null leaves it open. Throws SettingsError.
 */
export function parseBind<Port extends number | null>(
  spelled: string,
  text: string,
  defaults: { readonly host: string; readonly port: Port },
): { readonly host: string; readonly port: number | Port } {
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
  const parts = split(rest.replace(/\/$/, ''))
  const port = parts && parsePort(parts.port, 1)
  const host = parts?.host || defaultHost
  if (!parts || port === null || !host || !/^https?$/i.test(scheme)) {
    throw new SettingsError(
      'bad-setting',
      `${what} ${shown(maskUser(text))} is no address of a node: write HOST:PORT, such as node.example:${DEFAULT_PEER_PORT}`,
    )
  }
  const bracketed = host.includes(':') ? `[${host}]` : host
  return {
    url: `${scheme}://${bracketed}:${port ?? DEFAULT_PEER_PORT}`.toLowerCase(),
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

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d+){3}$/.test(name)
}

/** Whether a host stands for all interfaces, which nobody can call. */
export function isUnspecified(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::'
}

/** `host:port`, with brackets around IPv6 and a star for all interfaces. */
export function printBind({ host, port }: Bind): string {
  return `${host === '' ? '*' : host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Host and port, each '' when not written; null for what cannot be either. */
function split(text: string): { host: string; port: string } | null {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  if (bracketed) return IPV6.test(bracketed[1]!) ? { host: bracketed[1]!, port: bracketed[2] ?? '' } : null
  const colons = text.split(':').length - 1
  if (colons > 1) return IPV6.test(text) ? { host: text, port: '' } : null
  const [host = '', port = ''] = text.split(':')
  return host === '' || HOST_NAME.test(host) ? { host, port } : null
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
