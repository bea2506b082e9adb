import { BlockList, isIPv6 } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const unspecified = new BlockList()
unspecified.addAddress('0.0.0.0', 'ipv4')
unspecified.addAddress('::', 'ipv6')

/** Shorter numbers after the last colon are read as the last group of an IPv6 address, not as a port. */
const MIN_PORT_DIGITS = 3

/** Whether only this machine can reach the host. Takes a name or an address, IPv6 with or without brackets. */
export function isLoopback(host: string): boolean {
  const name = withoutBrackets(host).toLowerCase().replace(/\.$/, '')
  return name === 'localhost' || name.endsWith('.localhost') || isListed(loopback, name)
}

/** Whether the host means all interfaces; such a host cannot be called. */
export function isUnspecified(host: string): boolean {
  return host === '' || isListed(unspecified, withoutBrackets(host))
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostAndPort(host: string, port: number | string): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** A URL's host in the form that sockets and certificates take. */
export function withoutBrackets(host: string): string {
  return /^\[.*\]$/s.test(host) ? host.slice(1, -1) : host
}

/** The plain IPv4 address of a peer that a dual-stack listener reports as an IPv4-mapped IPv6 address. */
export function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/**
 * The bracketed form of an IPv6 address that was written without brackets, with its port if it seems to have one; null
 * for any other text.
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
