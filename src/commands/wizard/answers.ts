import { z } from 'zod'
import { type Address, parseAddress, ZERO_ADDRESS } from '../../lib/crypto.ts'
import { withoutUnprintable } from '../../lib/printable.ts'

/*
 * The answers of the control API that the wizard reads (operations.md §4), as this project's nodes and the Go node give them.
 * Texts are cleaned: they are shown at a terminal.
 */

const MAX_TEXT = 500

const text = z.string().transform((value) => withoutUnprintable(value).slice(0, MAX_TEXT))
/** An absent number is null. */
const whole = z
  .bigint()
  .nullish()
  .transform((value) => value ?? 0n)
const count = z.union([z.bigint(), z.number()]).transform(Number)
const address = z.string().transform((value, context): Address => {
  try {
    return value === '' ? ZERO_ADDRESS : parseAddress(value)
  } catch {
    context.addIssue('no address')
    return z.NEVER
  }
})

/** `/delegatorInfo`: the stake and the earnings of the account. */
export const delegatorAnswer = z.object({
  ...{ Address: address, DelegateAddress: address, Status: text },
  ...{ BondedAmount: whole, Fees: whole, DelegatedAmount: whole, PendingStake: whole, PendingFees: whole },
  ...{ StartRound: whole, LastClaimRound: whole },
})

const orchestrator = z.object({
  ...{ Address: address, ServiceURI: text, Status: text, Active: z.boolean() },
  ...{ LastRewardRound: whole, RewardCut: whole, FeeShare: whole, DelegatedStake: whole },
  PricePerPixel: z.union([text, z.bigint().transform(String)]).nullish(),
})
/** `/orchestratorInfo`: the orchestrator that the node works for, and what it asks for a pixel in wei. */
export const orchestratorAnswer = z.object({ Transcoder: orchestrator, PriceInfo: text.nullish() })
/** `/registeredOrchestrators`. */
export const orchestratorsAnswer = z
  .array(orchestrator)
  .nullish()
  .transform((value) => value ?? [])

/** `/unbondingLocks`. */
export const locksAnswer = z
  .array(z.object({ ID: whole, Amount: whole, WithdrawRound: whole }))
  .nullish()
  .transform((value) => (value ?? []).toSorted((a, b) => Number(a.ID - b.ID)))

/** `/senderInfo`: deposit and reserve of the account, in wei. */
export const senderAnswer = z.object({
  ...{ Deposit: whole, WithdrawRound: whole },
  Reserve: z.object({ FundsRemaining: whole, ClaimedInCurrentRound: whole }),
})
/** `/ticketBrokerParams`. */
export const brokerAnswer = z.object({ UnlockPeriod: whole })

/** `/getBroadcastConfig`. */
export const broadcastAnswer = z.object({ MaxPrice: text.nullish(), TranscodingOptions: text })
/** `/getAvailableTranscodingOptions`. */
export const optionsAnswer = z.array(text)

/** `/protocolParameters`; shares are of a million, inflation and bonding rate of a thousand million. */
export const protocolAnswer = z.object({
  ...{ NumActiveTranscoders: whole, RoundLength: whole, RoundLockAmount: whole, UnbondingPeriod: whole },
  ...{ Inflation: whole, InflationChange: whole, TargetBondingRate: whole },
  ...{ TotalBonded: whole, TotalSupply: whole, Paused: z.boolean() },
})

/** `/contractAddresses`. */
export const contractsAnswer = z.record(z.string(), address)

const transaction = z.object({ purpose: text, txHash: text, attempts: count })
/** A transaction that a node has sent and that is not mined yet. */
export type OpenTransaction = z.output<typeof transaction>

/** `/status`; what only this project's nodes tell is missing elsewhere. */
export const statusAnswer = z.object({
  ...{ Version: text, GolangRuntimeVersion: text, GOArch: text, GOOS: text },
  BroadcasterPrices: z
    .record(z.string(), text)
    .nullish()
    .transform((value) => value ?? {}),
  roles: z.array(text).optional(),
  serviceUri: text.nullish(),
  chain: z.object({ transactions: z.array(transaction) }).optional(),
})

/** The stake of the node's account. */
export type Delegator = z.output<typeof delegatorAnswer>
/** An orchestrator as registered on chain. */
export type RegisteredOrchestrator = z.output<typeof orchestrator>
/** What was unbonded and not withdrawn. */
export type Lock = z.output<typeof locksAnswer>[number]
/** The funds of the node's account as a sender. */
export type Sender = z.output<typeof senderAnswer>
