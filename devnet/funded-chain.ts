import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeKeyFile } from '../src/io/chain/keystore.ts'
import { type Address, addressOfKey } from '../src/lib/crypto.ts'
import { Anvil } from './anvil.ts'
import { devnetKey, devnetKeyBytes } from './artifacts.ts'
import { Protocol } from './protocol.ts'
import { type NodeKind, REGISTERED } from './setups.ts'

const ETHER = 10n ** 18n
/** The password of all keys, which are public. */
const PASSWORD = 'devnet'
/** In blocks: longer than ticket params are valid (40), short enough to see rounds pass. */
const ROUND_LENGTH = 60n
const STAKE = 1000n * ETHER
const GAS_MONEY = 100n * ETHER
const DEPOSIT = 50n * ETHER
const RESERVE = 50n * ETHER

/** The account with deposit and reserve, by the name of its key. */
export const PAYING = 'gateway'

/** Renditions of which two shared cores make those of three streams beside a network of eight processes. */
export const LADDER = 'P144p30fps16x9,P240p30fps16x9'

/**
 * Tickets with an expected value of a hundredth of an ether that pay two hundredths every second time, and a price at
 * which a two-second segment of those renditions costs about one of them.
 */
export const PAYMENT_FLAGS: Partial<Record<NodeKind, readonly string[]>> = {
  orchestrator: [
    ...['-pricePerUnit', '1200000000', '-ticketEV', '10000000000000000'],
    ...['-maxFaceValue', '20000000000000000'],
  ],
  gateway: [
    ...['-maxTicketEV', '1000000000000000000', '-maxTotalEV', '10000000000000000000'],
    ...['-transcodingOptions', LADDER],
  ],
}

/** What is registered and funded. */
export interface FundedChainOptions {
  readonly port: number
  /** The address that the orchestrator registers. */
  readonly serviceUri: string
  /** The keys whose accounts pay for transactions. */
  readonly gasFor: readonly string[]
  /** Deposit and reserve in wei, each. */
  readonly gatewayFunds?: bigint | undefined
  /** Seconds between blocks. */
  readonly blockTimeS?: number | undefined
  /** Blocks. */
  readonly roundLength?: bigint | undefined
  /** Cancels the preparation when aborted. */
  readonly signal?: AbortSignal | undefined
}

/** A chain on which an orchestrator is registered and active, and a gateway can pay it. */
export interface FundedChain {
  readonly anvil: Anvil
  readonly protocol: Protocol
  readonly accounts: { readonly gateway: Address; readonly orchestrator: Address }
  /** The block from which rounds are counted: the first round counted starts after it. */
  readonly fromBlock: bigint
}

/** Starts the chain, deploys the contracts, and keeps its rounds initialised. What has to be stopped goes on the stack. */
export async function startFundedChain(
  options: FundedChainOptions,
  stack: AsyncDisposableStack,
): Promise<FundedChain> {
  const { signal } = options
  const anvil = stack.use(await Anvil.start({ port: options.port }))
  const giveUp = () => void anvil.stop()
  signal?.addEventListener('abort', giveUp, { once: true })
  signal?.throwIfAborted()
  const protocol = await Protocol.deploy(anvil, { roundLength: options.roundLength ?? ROUND_LENGTH })
  const orchestrator = await protocol.bondAndRegister(devnetKey(REGISTERED), {
    stake: STAKE,
    serviceUri: options.serviceUri,
  })
  for (const name of options.gasFor) await anvil.setBalance(addressOfKey(devnetKeyBytes(name)), GAS_MONEY)
  const gateway = await protocol.fundSender(
    devnetKey(PAYING),
    options.gatewayFunds ?? DEPOSIT,
    options.gatewayFunds ?? RESERVE,
  )
  const fromBlock = (await protocol.blockNumber()) + 1n
  await protocol.nextRound()
  await anvil.mineEvery(options.blockTimeS ?? 1)
  keepRoundsInitialized(protocol, stack)
  signal?.throwIfAborted()
  signal?.removeEventListener('abort', giveUp)
  return { anvil, protocol, fromBlock, accounts: { gateway, orchestrator } }
}

/** Writes the password of all keys. Returns the path. */
export async function writePassword(folder: string): Promise<string> {
  const path = join(folder, 'password')
  await writeFile(path, `${PASSWORD}\n`, { mode: 0o600 })
  return path
}

/** Writes the files of these keys. */
export async function writeKeystore(keystore: string, names: readonly string[]): Promise<void> {
  await mkdir(keystore, { recursive: true })
  // A real key file takes seconds to derive by design; these keys are public.
  for (const name of names) await writeKeyFile(keystore, devnetKeyBytes(name), PASSWORD, { scryptN: 2 ** 12 })
}

/** The flags of every node on this chain. `urls` are those of -ethUrl. */
export function chainFlags(how: {
  readonly urls: readonly string[]
  readonly protocol: Protocol
  readonly keystore: string
  readonly passwordFile: string
}): string[] {
  return [
    ...[
      '-network',
      'devnet',
      '-ethUrl',
      how.urls.join(','),
      '-ethController',
      how.protocol.addresses.controller,
    ],
    ...['-ethKeystorePath', how.keystore, '-ethPassword', how.passwordFile, '-blockPollingInterval', '1'],
  ]
}

function keepRoundsInitialized(protocol: Protocol, stack: AsyncDisposableStack): void {
  const abort = new AbortController()
  const done = protocol.keepRoundsInitialized(abort.signal)
  stack.defer(async () => {
    abort.abort()
    await done
  })
}
