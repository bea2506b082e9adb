import type { Address } from '../lib/crypto.ts'

/** One step of becoming an orchestrator, in the order in which they are taken. */
export type ActivationStep = 'rebond' | 'bond' | 'cuts' | 'address' | 'price'

const ORDER: readonly ActivationStep[] = ['rebond', 'bond', 'cuts', 'address', 'price']

/** What an activation is asked to do; null for what it leaves as it is. Amounts in LPT's smallest unit, cuts of a million. */
export interface WantedActivation {
  readonly lockId: bigint | null
  readonly amount: bigint
  readonly rewardCut: bigint
  readonly feeShare: bigint
  readonly serviceUri: string
}

/** An activation that was begun: which steps are done, and what was bonded before the bond was sent. */
export interface BegunActivation {
  readonly done: readonly ActivationStep[]
  /** Null until that step begins. */
  readonly bonding: { readonly amount: bigint; readonly bondedBefore: bigint } | null
}

/** What the chain has of the account. */
export interface ActivationFacts {
  readonly account: Address
  readonly registered: boolean
  readonly rewardCut: bigint
  readonly feeShare: bigint
  readonly serviceUri: string
  readonly bondedAmount: bigint
  readonly delegateAddress: Address
  /** The locks that hold something. */
  readonly locks: ReadonlySet<bigint>
}

/** Nothing is done yet. */
export const NOT_BEGUN: BegunActivation = { done: [], bonding: null }

/**
 * The steps that an activation has left. What was done stays done, whatever was asked since: it is not bonded twice. A bond
 * that was sent and not noted shows in what is bonded.
 */
export function stepsLeft(
  wanted: WantedActivation,
  begun: BegunActivation,
  facts: ActivationFacts,
): ActivationStep[] {
  const { bonding } = begun
  const isBonded =
    bonding !== null &&
    facts.delegateAddress === facts.account &&
    facts.bondedAmount >= bonding.bondedBefore + bonding.amount
  const isNeeded: Readonly<Record<ActivationStep, boolean>> = {
    rebond: wanted.lockId !== null && !(begun.done.length > 0 && !facts.locks.has(wanted.lockId)),
    bond: wanted.amount > 0n && !isBonded,
    cuts: facts.rewardCut !== wanted.rewardCut || facts.feeShare !== wanted.feeShare,
    address: facts.serviceUri !== wanted.serviceUri,
    price: true,
  }
  return ORDER.filter((step) => !begun.done.includes(step) && isNeeded[step])
}

/** The steps of an activation that are not left: they were done before, or need not be done. */
export function stepsDone(
  { amount, lockId }: WantedActivation,
  left: readonly ActivationStep[],
): ActivationStep[] {
  const isWanted = (step: ActivationStep) =>
    step === 'rebond' ? lockId !== null : step !== 'bond' || amount > 0n
  return ORDER.filter((step) => isWanted(step) && !left.includes(step))
}

/** What each step is called in answers. */
export const STEP_NAMES: Readonly<Record<ActivationStep, string>> = {
  rebond: 'rebonding the lock',
  bond: 'bonding',
  cuts: 'setting the cuts',
  address: 'registering the address',
  price: 'setting the price',
}

/** The failure of a step: which ones are done, and how to go on. */
export function activationFailure(
  reason: string,
  { done, failed }: { readonly done: readonly ActivationStep[]; readonly failed: ActivationStep },
): string {
  if (done.length === 0) return reason
  const names = done.map((step) => STEP_NAMES[step]).join(', ')
  return `${reason} (${STEP_NAMES[failed]} failed; done: ${names}: the same call, with what was wrong corrected, goes on from there)`
}
