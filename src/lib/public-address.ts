import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { NodeError } from './errors.ts'

/** IPv4 ranges that are not public: unreachable from the internet or local to this network (RFC 6890). */
const PRIVATE_IPV4: readonly [network: string, bits: number][] = [
  ['0.0.0.0', 8], // this host
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT; metadata of one cloud
  ['127.0.0.0', 8],
  ['168.63.129.16', 32], // publicly routable, but inside Azure the platform's own service
  ['169.254.0.0', 16], // link-local; metadata of most clouds
  ['172.16.0.0', 12],
  ['192.0.0.0', 24], // IETF assignments; metadata of one cloud
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16],
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
]

/** IPv6 prefixes with an IPv4 address in the last 32 bits, which is the one to check (RFC 4291, RFC 6052). */
const IPV4_CARRIERS = ['::ffff:', '64:ff9b::']
const CARRIER_BITS = 96

/** The globally routed part of IPv6. Everything else is loopback, link-local, unique local, multicast or reserved. */
const GLOBAL_IPV6: readonly [network: string, bits: number] = ['2000::', 3]

/** Ranges inside {@link GLOBAL_IPV6} that are not public. */
const PRIVATE_IPV6: readonly [network: string, bits: number][] = [
  ['2001::', 23], // IETF assignments, including Teredo, which carries IPv4 addresses
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4, which carries IPv4 addresses
  ['3fff::', 20], // documentation
]

const globalIpv6 = new BlockList()
const refused = new BlockList()
globalIpv6.addSubnet(...GLOBAL_IPV6, 'ipv6')
for (const carrier of IPV4_CARRIERS) globalIpv6.addSubnet(`${carrier}0.0.0.0`, CARRIER_BITS, 'ipv6')
for (const [network, bits] of PRIVATE_IPV6) refused.addSubnet(network, bits, 'ipv6')
for (const [network, bits] of PRIVATE_IPV4) {
  refused.addSubnet(network, bits, 'ipv4')
  for (const carrier of IPV4_CARRIERS) {
    refused.addSubnet(`${carrier}${network}`, CARRIER_BITS + bits, 'ipv6')
  }
}

/**
 * Whether an IP address, without brackets, is on the public internet, so that a request to it cannot reach anything
 * internal to this host or its network. Loopback, private, link-local, unique local, shared (CGNAT), multicast,
 * reserved and metadata addresses are not public, in whatever form IPv6 carries them. Anything that is not an address,
 * or names an interface (`fe80::1%eth0`), is not public.
 */
export function isPublicAddress(ip: string): boolean {
  const version = ip.includes('%') ? 0 : isIP(ip)
  if (version === 4) return !refused.check(ip, 'ipv4')
  if (version === 6) return globalIpv6.check(ip, 'ipv6') && !refused.check(ip, 'ipv6')
  return false
}

/** An address that this node may not connect to. */
export class AddressError extends NodeError<'address-not-allowed'> {
  override name = 'AddressError'
}

/** Resolves a name to all its addresses, as `dns.lookup` does. */
export type Resolve = (
  hostname: string,
  options: { all: true; family?: number; hints?: number },
  callback: (
    error: NodeJS.ErrnoException | null,
    addresses: readonly { address: string; family: number }[],
  ) => void,
) => void

/**
 * A `lookup` for Node's sockets (`net`, `tls`, `http`, `https`) that returns only allowed addresses, and fails with an
 * AddressError if there are none. The socket connects to the address checked here, so a second resolution cannot
 * replace it. Node does not call it for a host that is already an address: see {@link checkHost}.
 */
export function lookupWhere(
  allows: (ip: string) => boolean,
  resolve: Resolve = systemLookup as Resolve,
): LookupFunction {
  return (hostname, options, callback) => {
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family ?? 0)
    const hints = options.hints === undefined ? {} : { hints: options.hints }
    resolve(hostname, { all: true, family, ...hints }, (error, found) => {
      if (error) return callback(error, [])
      const allowed = found.filter(({ address }) => allows(address))
      const [first] = allowed
      if (!first) return callback(notAllowed(hostname, found), [])
      if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/** A `lookup` for Node's sockets that returns only public addresses. */
export const publicLookup: LookupFunction = lookupWhere(isPublicAddress)

/**
 * Refuses a URL's host (`url.hostname`) that is itself an address that is not allowed; Node's sockets call `lookup` for
 * names only. Throws AddressError.
 */
export function checkHost(hostname: string, allows: (ip: string) => boolean = isPublicAddress): void {
  const ip = hostname.replace(/^\[|\]$/g, '')
  if (isIP(ip) !== 0 && !allows(ip)) throw notAllowed(hostname, [])
}

function notAllowed(hostname: string, found: readonly { address: string }[]): AddressError {
  const addresses = found.map(({ address }) => address).join(', ')
  const resolved = addresses && ` (${addresses})`
  return new AddressError('address-not-allowed', `${hostname}${resolved} is not a public address`)
}
