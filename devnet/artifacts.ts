import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Abi } from 'viem'
import { contractId } from '../src/io/chain/contracts.ts'
import { type Hex, parseHex } from '../src/lib/bytes.ts'
import type { Address } from '../src/lib/crypto.ts'
import { NodeError } from '../src/lib/errors.ts'

/** A contract as officially built: its ABI and creation code. */
export interface Artifact {
  readonly name: string
  readonly abi: Abi
  /** Creation code, with placeholders for linked libraries. */
  readonly bytecode: string
  readonly links: Readonly<
    Record<string, Readonly<Record<string, readonly { start: number; length: number }[]>>>
  >
}

/** The artifacts of the protocol's contracts in the package. Only their JSON is read. */
const PATHS = {
  Controller: 'Controller.sol/Controller.json',
  ManagerProxy: 'ManagerProxy.sol/ManagerProxy.json',
  ServiceRegistry: 'ServiceRegistry.sol/ServiceRegistry.json',
  SortedDoublyLL: 'libraries/SortedDoublyLL.sol/SortedDoublyLL.json',
  BondingManager: 'bonding/BondingManager.sol/BondingManager.json',
  RoundsManager: 'rounds/RoundsManager.sol/RoundsManager.json',
  TicketBroker: 'pm/TicketBroker.sol/TicketBroker.json',
  Minter: 'token/Minter.sol/Minter.json',
  LivepeerToken: 'token/LivepeerToken.sol/LivepeerToken.json',
  LivepeerTokenFaucet: 'token/LivepeerTokenFaucet.sol/LivepeerTokenFaucet.json',
  PollCreator: 'polling/PollCreator.sol/PollCreator.json',
  Poll: 'polling/Poll.sol/Poll.json',
} as const

/** The name of an official contract. */
export type ArtifactName = keyof typeof PATHS

const require = createRequire(import.meta.url)
const read = new Map<ArtifactName, Artifact>()

/** The artifact of an official contract. */
export function artifact(name: ArtifactName): Artifact {
  const known = read.get(name)
  if (known) return known
  const root = dirname(require.resolve('@livepeer/sdk/package.json'))
  const json = JSON.parse(readFileSync(join(root, 'abis', 'contracts', PATHS[name]), 'utf8'))
  const made = { name, abi: json.abi as Abi, bytecode: json.bytecode as string, links: json.linkReferences }
  read.set(name, made)
  return made
}

/** The creation code with library addresses filled in. Throws NodeError `not-linked` if one is missing. */
export function linkedBytecode(from: Artifact, libraries: Readonly<Record<string, Address>> = {}): Hex {
  let code = from.bytecode
  for (const library of Object.values(from.links).flatMap((file) => Object.entries(file))) {
    const [name, places] = library
    const address = libraries[name]
    if (!address) throw new NodeError('not-linked', `${from.name} needs the address of ${name}`)
    for (const { start, length } of places) {
      const at = 2 + start * 2
      code = code.slice(0, at) + address.slice(2).toLowerCase() + code.slice(at + length * 2)
    }
  }
  return code as Hex
}

/**
 * Creation code of a contract that answers every call with 32 zero bytes, for the L2LPTDataCache of a chain with all
 * tokens on this side (contracts.md §1). The runtime code is PUSH1 32, PUSH1 0, RETURN; the code before it deploys
 * those five bytes.
 */
export const ZERO_ANSWER_BYTECODE: Hex = '0x6460206000f36000526005601bf3'

/** A key derived from a name: the same in every run and publicly known, for development networks only. */
export function devnetKey(name: string): Hex {
  return contractId(`livepeer-ts devnet ${name}`)
}

/** The bytes of `devnetKey`. */
export function devnetKeyBytes(name: string): Uint8Array {
  return parseHex(devnetKey(name))
}
