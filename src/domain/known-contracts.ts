import type { Address } from '../lib/crypto.ts'
import type { CalledContract } from './call-words.ts'

const ARBITRUM_ONE = 42161n

/** The contracts on Arbitrum One (chain.md §2). */
const ON_ARBITRUM_ONE: ReadonlyMap<Address, CalledContract> = new Map<Address, CalledContract>([
  ['0x289ba1701C2F088cf0faf8B3705246331cB8A839', 'LivepeerToken'],
  ['0xC92d3A360b8f9e083bA64DE15d95Cf8180897431', 'ServiceRegistry'],
  ['0x35Bcf3c30594191d53231E4FF333E8A770453e40', 'BondingManager'],
  ['0xa8bB618B1520E284046F3dFc448851A1Ff26e41B', 'TicketBroker'],
  ['0xdd6f56DcC28D3F5f27084381fE8Df634985cc39f', 'RoundsManager'],
  ['0xcFE4E2879B786C3aa075813F0E364bb5acCb6aa0', 'LivepeerGovernor'],
])

/** The contracts of a network that are known without asking its chain; none of a private one. */
export function knownContracts(chainId: bigint): ReadonlyMap<Address, CalledContract> {
  return chainId === ARBITRUM_ONE ? ON_ARBITRUM_ONE : new Map()
}
