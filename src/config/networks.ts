import type { Address } from '../lib/crypto.ts'
import { nearest } from './nearest.ts'

/** The defaults of a network (chain.md §1). */
export interface Network {
  readonly name: string
  /** No chain and no payments. */
  readonly offchain: boolean
  /** Whether it is a public network, where a loopback service address is useless to gateways. */
  readonly public: boolean
  /** The protocol's Controller contract; null when the operator must give it. */
  readonly controller: Address | null
  /** The expected chain id; null for any. */
  readonly chainId: bigint | null
  /** Estimated gas of redeeming one ticket. */
  readonly redeemGas: bigint
  /** Wei. */
  readonly minGasPrice: bigint
}

const GWEI = 10n ** 9n
/** Arbitrum includes the cost of its L1 data in the gas. */
const ARBITRUM_REDEEM_GAS = 1_200_000n
const REDEEM_GAS = 350_000n

const known: readonly Network[] = [
  {
    name: 'offchain',
    offchain: true,
    public: false,
    controller: null,
    chainId: null,
    redeemGas: 0n,
    minGasPrice: 0n,
  },
  {
    name: 'arbitrum-one-mainnet',
    offchain: false,
    public: true,
    controller: '0xD8E8328501E9645d16Cf49539efC04f734606ee4',
    chainId: 42161n,
    redeemGas: ARBITRUM_REDEEM_GAS,
    minGasPrice: 0n,
  },
  {
    name: 'mainnet',
    offchain: false,
    public: true,
    controller: '0xF96D54E490317c557A967ABfA5d6e33006BE69b3',
    chainId: 1n,
    redeemGas: REDEEM_GAS,
    minGasPrice: GWEI,
  },
  {
    name: 'arbitrum-one-rinkeby',
    offchain: false,
    public: true,
    controller: '0x9ceC649179e2C7Ab91688271bcD09fb707b3E574',
    chainId: 421611n,
    redeemGas: ARBITRUM_REDEEM_GAS,
    minGasPrice: 0n,
  },
  {
    name: 'rinkeby',
    offchain: false,
    public: true,
    controller: '0x9a9827455911a858E55f07911904fACC0D66027E',
    chainId: 4n,
    redeemGas: REDEEM_GAS,
    minGasPrice: 0n,
  },
]

/** Names of the networks that have a known Controller. */
export const knownNetworks: readonly string[] = known.flatMap(({ name, controller }) =>
  controller ? [name] : [],
)

/** The network of that name; an unknown name is a private chain. Null for a name that cannot be a folder's. */
export function networkNamed(name: string): Network | null {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name)) return null
  return (
    known.find((network) => network.name === name) ?? {
      name,
      offchain: false,
      public: false,
      controller: null,
      chainId: null,
      redeemGas: REDEEM_GAS,
      minGasPrice: 0n,
    }
  )
}

/** The known network that was probably meant; null when none is close. */
export function nearestNetwork(name: string): string | null {
  return nearest(
    name,
    known.map((network) => network.name),
  )
}
