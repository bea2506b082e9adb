import { isIPv6 } from 'node:net'
import { withoutMapping } from '../../lib/hosts.ts'

/** What one customer of a provider has at least, and may choose addresses from. */
const IPV6_SITE_GROUPS = 4
const IPV6_GROUPS = 8

/**
 * Whom a connection is counted for: the IPv4 address, also where IPv6 carries it, or the /64 network of the IPv6
 * address, since whoever has one address of it has all. `unknown` where there is no address any more.
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
