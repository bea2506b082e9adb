import { z } from 'zod'
import {
  type ActivationFacts,
  type ActivationStep,
  activationFailure,
  type BegunActivation,
  NOT_BEGUN,
  STEP_NAMES,
  stepsDone,
  stepsLeft,
  type WantedActivation,
} from '../../domain/activation.ts'
import { type SetPrice, writeSetPrice } from '../../domain/price-words.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { bigintsAsTexts } from '../../lib/bigints.ts'
import { isUnspecified } from '../../lib/hosts.ts'
import { parsedJson } from '../../lib/parsed-json.ts'
import { acting, sendingChainOf } from './acting.ts'
import { type ControlledNode, chainOf, liveOf, partsOf, unlessOnChain } from './context.ts'
import { integer, lptu, percent, persist, words } from './parameters.ts'
import { notNegative, priceIn } from './settings-routes.ts'

const DONE = { text: '' }
const MAX_URI_CHARS = 500
/** Where an activation that was begun is kept. */
const ACTIVATION = 'activation'

const begunSchema = z.object({
  done: z.array(z.enum(['rebond', 'bond', 'cuts', 'address', 'price'])),
  bonding: z
    .object({ amount: z.string().transform(BigInt), bondedBefore: z.string().transform(BigInt) })
    .nullable(),
})

/** The routes that make the account an orchestrator and change its terms (operations.md §4, chain.md §13). */
export function orchestratorRoutes(node: ControlledNode): ControlRoute[] {
  const onChain = { changes: true, sends: true, ...unlessOnChain(node) }
  return [
    route('/activateOrchestrator', {
      ...onChain,
      about:
        'Makes the account an orchestrator: rebonds, bonds, sets cuts, address and price. What fails half-way goes on with the same call.',
      params: z.object({
        blockRewardCut: words('What it keeps of its rewards, in percent'),
        feeShare: words('What it gives away of its fees, in percent'),
        pricePerUnit: words('The price of so many pixels'),
        pixelsPerUnit: words('How many pixels'),
        serviceURI: words('Where gateways reach it: https://HOST:PORT'),
        currency: words('Wei where it is not given').optional(),
        unbondingLockId: words('A lock to bond again').optional(),
        amount: words('How much to bond, in LPT’s smallest unit').optional(),
      }),
      answer: async (params, { signal }) => {
        await new Activation(node, signal).run(params)
        return DONE
      },
    }),
    route('/setOrchestratorConfig', {
      ...onChain,
      about: 'Changes what the orchestrator asks, its cuts and its address: those that are given and differ.',
      params: z.object({
        pricePerUnit: words('The price of so many pixels').optional(),
        pixelsPerUnit: words('How many pixels').optional(),
        currency: words('Wei where it is not given').optional(),
        blockRewardCut: percent(
          'What it keeps of its rewards',
          'Cannot convert block reward cut: ',
        ).optional(),
        feeShare: percent('What it gives away of its fees', 'Cannot convert fee share: ').optional(),
        serviceURI: words('Where gateways reach it: https://HOST:PORT').optional(),
        persist,
      }),
      answer: async (params, { signal }) => {
        const { blockRewardCut, currency, feeShare, pixelsPerUnit, pricePerUnit, serviceURI } = params
        // All is checked before anything is changed.
        const price =
          pricePerUnit === undefined || pixelsPerUnit === undefined
            ? null
            : priceOf(node, { pricePerUnit, pixelsPerUnit, currency })
        const uri = serviceURI === undefined ? null : checkedUri(serviceURI)
        const { account, operator } = sendingChainOf(node)
        const hasCuts = blockRewardCut !== undefined && feeShare !== undefined
        const now =
          hasCuts || uri !== null ? await acting('', () => operator.reads.orchestrator(account)) : null
        const isCut = hasCuts && (now!.rewardCut !== blockRewardCut || now!.feeShare !== feeShare)
        if (isCut) {
          const { locked } = await acting('', () => operator.reads.round())
          if (locked) throw new ControlError('refused', 'current round locked')
          node.sending?.begin(STEP_NAMES.cuts)
          await acting('', () => operator.calls.setTerms(blockRewardCut, feeShare, signal))
        }
        if (uri !== null && uri !== now!.serviceUri) {
          node.sending?.begin(STEP_NAMES.address)
          await acting('', () => operator.calls.setServiceUri(uri, signal))
        }
        if (price) {
          node.sending?.begin(STEP_NAMES.price)
          await setPrice(node, price, params)
        }
        return DONE
      },
    }),
  ]
}

/** One run of `/activateOrchestrator`: takes the steps that are left, and notes each as it is done. */
class Activation {
  readonly #node: ControlledNode
  readonly #signal: AbortSignal

  constructor(node: ControlledNode, signal: AbortSignal) {
    this.#node = node
    this.#signal = signal
  }

  async run(params: Readonly<Record<string, string | undefined>>): Promise<void> {
    const chain = sendingChainOf(this.#node)
    const begun = await this.#begun()
    const facts = await acting('', () => this.#facts())
    if (facts.registered && begun === null) {
      throw new ControlError('bad-parameter', 'orchestrator already registered')
    }
    const { price, wanted } = this.#checked(params)
    const { initialized, locked } = await acting('', () => chain.operator.reads.round())
    if (locked) throw new ControlError('refused', 'current round is locked')
    if (!initialized)
      throw new ControlError('refused', 'execution reverted: current round is not initialized')
    const steps = stepsLeft(wanted, begun ?? NOT_BEGUN, facts)
    for (const step of stepsDone(wanted, steps)) this.#node.sending?.noteDone(STEP_NAMES[step])
    await this.#assertPossible(wanted, steps, facts)
    await this.#take(steps, wanted, price, begun ?? NOT_BEGUN)
    await this.#note(null)
  }

  async #take(
    steps: readonly ActivationStep[],
    wanted: WantedActivation,
    price: SetPrice,
    begun: BegunActivation,
  ): Promise<void> {
    const { calls } = sendingChainOf(this.#node).operator
    let state = begun
    for (const step of steps) {
      this.#node.sending?.begin(STEP_NAMES[step])
      try {
        if (step === 'bond') {
          const { bondedAmount } = await acting('', () => this.#facts())
          state = { ...state, bonding: { amount: wanted.amount, bondedBefore: bondedAmount } }
          await this.#note(state)
        }
        await acting('', async () => {
          const { account } = sendingChainOf(this.#node)
          if (step === 'rebond') await calls.rebond(wanted.lockId!, account, this.#signal)
          if (step === 'bond') await calls.bond(wanted.amount, account, this.#signal)
          if (step === 'cuts') await calls.setTerms(wanted.rewardCut, wanted.feeShare, this.#signal)
          if (step === 'address') await calls.setServiceUri(wanted.serviceUri, this.#signal)
        })
        if (step === 'price') await setPrice(this.#node, price, { persist: false })
      } catch (error) {
        if (!(error instanceof ControlError)) throw error
        const told = activationFailure(error.message, { done: state.done, failed: step })
        throw new ControlError(error.code, told, error.status, { cause: error })
      }
      state = { ...state, done: [...state.done, step] }
      await this.#note(state)
    }
  }

  /** Throws ControlError for what the contracts would refuse after the first step: then nothing is sent. */
  async #assertPossible(
    wanted: WantedActivation,
    steps: readonly ActivationStep[],
    facts: ActivationFacts,
  ): Promise<void> {
    const stakes = steps.includes('rebond') || steps.includes('bond') || facts.registered
    if (!stakes) {
      throw new ControlError('refused', 'execution reverted: transcoder must be registered')
    }
    if (steps.includes('rebond') && !facts.locks.has(wanted.lockId!)) {
      throw new ControlError('refused', 'execution reverted: invalid unbonding lock ID')
    }
    if (!steps.includes('bond')) return
    const { account, operator } = sendingChainOf(this.#node)
    await acting('', () => operator.calls.checkBond(wanted.amount, account))
  }

  #checked(params: Readonly<Record<string, string | undefined>>): {
    wanted: WantedActivation
    price: SetPrice
  } {
    const read = checkedSchema.safeParse(params)
    if (!read.success) throw new ControlError('bad-parameter', read.error.issues[0]!.message)
    const { amount = 0n, blockRewardCut, currency, feeShare, unbondingLockId } = read.data
    const { pixelsPerUnit, pricePerUnit, serviceURI } = read.data
    const price = priceOf(this.#node, { pricePerUnit, pixelsPerUnit, currency })
    const serviceUri = checkedUri(serviceURI)
    return {
      wanted: { lockId: unbondingLockId ?? null, amount, rewardCut: blockRewardCut, feeShare, serviceUri },
      price,
    }
  }

  async #facts(): Promise<ActivationFacts> {
    const { account, operator } = sendingChainOf(this.#node)
    const [now, delegator, locks] = await Promise.all([
      operator.reads.orchestrator(account),
      operator.reads.delegator(account),
      operator.reads.locks(account),
    ])
    const { feeShare, registered, rewardCut, serviceUri } = now
    const { bondedAmount, delegateAddress } = delegator
    const held = locks.filter(({ amount }) => amount > 0n).map(({ id }) => id)
    return {
      ...{ account, registered, rewardCut, feeShare, serviceUri, bondedAmount, delegateAddress },
      locks: new Set(held),
    }
  }

  /** What this account began before; another one is only tried out. */
  async #begun(): Promise<BegunActivation | null> {
    if (sendingChainOf(this.#node).account !== chainOf(this.#node).account) return null
    const kept = (await partsOf(this.#node).core.store.records.controlSettings()).get(ACTIVATION)
    const read = kept === undefined ? null : begunSchema.safeParse(parsedJson(kept))
    return read?.success ? read.data : null
  }

  async #note(begun: BegunActivation | null): Promise<void> {
    if (this.#node.sending?.isDry) return
    const text = JSON.stringify(begun, bigintsAsTexts)
    const { clock, store } = { clock: this.#node.clock, store: partsOf(this.#node).core.store }
    await store.records.keepControlSetting(ACTIVATION, begun === null ? null : text, clock.now())
  }
}

const checkedSchema = z.object({
  blockRewardCut: percent('What it keeps of its rewards'),
  feeShare: percent('What it gives away of its fees'),
  pricePerUnit: z.string(),
  pixelsPerUnit: z.string(),
  serviceURI: z.string(),
  currency: z.string().optional(),
  unbondingLockId: integer('A lock to bond again').optional(),
  amount: lptu('How much to bond').optional(),
})

/** A price that is to be asked. Throws ControlError. */
function priceOf(node: ControlledNode, params: Parameters<typeof priceIn>[0]): SetPrice {
  const price = priceIn(params, 'error parsing')
  notNegative(price)
  liveOf(node).assertConverts(price.currency)
  return price
}

/** Sets what an orchestrator asks; another node asks for nothing, and only its account is registered. */
async function setPrice(
  node: ControlledNode,
  price: SetPrice,
  how: { readonly persist: boolean },
): Promise<void> {
  if (node.sending?.isDry) return
  if (liveOf(node).has('price')) await liveOf(node).set('price', writeSetPrice(price), how)
}

/** An address that gateways can call. Throws ControlError in peers' words. */
function checkedUri(text: string): string {
  const url = URL.parse(text)
  if (!url || !/^https?:\/\//.test(text) || url.hostname === '' || text.length > MAX_URI_CHARS) {
    throw new ControlError(
      'bad-parameter',
      `parse ${JSON.stringify(text.slice(0, 80))}: invalid URI for request`,
    )
  }
  if (isUnspecified(url.hostname)) {
    throw new ControlError('refused', 'service address must be a public IP address or hostname')
  }
  return text
}
