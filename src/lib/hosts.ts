import { BlockList, isIPv6 } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const unspecified = new BlockList()
unspecified.addAddress('0.0.0.0', 'ipv4')
unspecified.addAddress('::', 'ipv6')

/** Ports of fewer digits are taken for the last group of an address. */
const MIN_PORT_DIGITS = 3

/** Whether only this machine can reach a host: a name or an address, IPv6 with or without brackets. */
export function isLoopback(host: string): boolean {
  const name = withoutBrackets(host).toLowerCase().replace(/\.$/, '')
  return name === 'localhost' || name.endsWith('.localhost') || isListed(loopback, name)
}

/** Whether a host stands for all interfaces, which nobody can call. */
export function isUnspecified(host: string): boolean {
  return host === '' || isListed(unspecified, withoutBrackets(host))
}

/** `host:port`, with brackets around IPv6. */
export function hostAndPort(host: string, port: number | string): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** A URL's host as sockets and certificates take it. */
export function withoutBrackets(host: string): string {
  return /^\[.*\]$/s.test(host) ? host.slice(1, -1) : host
}

/** An IPv4 peer's address as it is written elsewhere: a listener for both versions tells it as one of IPv6. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/**
 * How an IPv6 address that was written without brackets has to be written, with its port where it seems to have one;
 * null for any other text.
 */
export function bracketed(text: string): string | null {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, Math.max(0, colon))
  const port = text.slice(colon + 1)
  const isPort = /^[1-9]\d{0,4}$/.test(port) && port.length >= MIN_PORT_DIGITS && Number(port) <= 65_535
  if (isIPv6(host) && (isPort || !isIPv6(text))) return `[${host}]:${port}`
  return isIPv6(text) ? `[${text}]` : null
}

function isListed(list: BlockList, host: string): boolean {
  return list.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
}
