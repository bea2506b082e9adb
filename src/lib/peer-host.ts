import { isIPv6 } from 'node:net'
import { withoutMapping } from './hosts.ts'

/** A provider's customer has at least a /64 network and can use any address in it. */
const IPV6_SITE_GROUPS = 4
const IPV6_GROUPS = 8

/**
 * The host that a connection is counted for: the IPv4 address, including IPv4-mapped ones, or the /64 network of an
 * IPv6 address, because one customer has all of it. `unknown` without an address.
 */
export function hostOf(remoteAddress: string | undefined): string {
  const address = withoutMapping(remoteAddress?.split('%', 1)[0] ?? '')
  if (address === '') return 'unknown'
  if (!isIPv6(address)) return address
  // A dotted IPv4 address at the end stands for two groups, which are not among the first four.
  const [head = '', tail] = address.replace(/\d+\.\d+\.\d+\.\d+$/, '0:0').split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const zeros = tail === undefined ? 0 : IPV6_GROUPS - before.length - after.length
  const all = [...before, ...Array<string>(zeros).fill('0'), ...after]
  const site = all.slice(0, IPV6_SITE_GROUPS).map((group) => Number.parseInt(group, 16).toString(16))
  return `${site.join(':')}::/64`
}
