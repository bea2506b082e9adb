import type { ChainUpdate } from '../../domain/chain.ts'
import type { CallResult, InFlight, NotSent } from '../../domain/chain-call.ts'
import type { NodeEvents } from '../../domain/events.ts'
import {
  callsLeft,
  missedRounds,
  type RewardFacts,
  type RewardStand,
  rewardStand,
} from '../../domain/reward.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { Fields, Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { ChainWatch } from './rounds.ts'

/** Why no reward can be called. */
export type RewardFault = 'cannot-call-reward'

/** The chain is looked at again after this long although nothing was announced; while a reward is expected, sooner. */
const LOOK_MS = 5 * 60_000
const EXPECTANT_LOOK_MS = 60_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** How soon to check whether another sender's pending transaction was mined. */
const OTHERS_LOOK_MS = 2_000
/** After this time another process's pending transaction is replaced by a call that pays more. */
const OTHERS_PATIENCE_MS = 5 * 60_000
/** After a successful call, reads may lag: a reward is believed to be due again only after this time. */
const BELIEVED_DUE_MS = 60_000
/** Gas of a call until one has been paid for: a little more than usual. */
const GAS_GUESS = 500_000n
/** The operator is warned in each round while the balance covers fewer calls than this. */
const FEW_CALLS = 10n

/** An orchestrator's reward as the chain has it, and who besides itself may call it (LIP-118). */
export interface RewardView extends RewardFacts {
  /** Null when none is set, and on contracts without reward callers. */
  readonly rewardCaller: Address | null
}

/** The outcome of calling reward; `reward` is what was minted to the orchestrator, in LPT's smallest unit. */
export type RewardResult =
  | Exclude<CallResult, { kind: 'mined' }>
  | (Extract<CallResult, { kind: 'mined' }> & { readonly reward: bigint })

/** What calling reward asks of the chain. */
export interface RewardChain {
  rewardView(orchestrator: Address): Promise<RewardView>
  /** Wei of the account that pays for the calls. */
  balance(): Promise<bigint>
  /** The open call, also from before a restart. */
  rewardInFlight(orchestrator: Address): InFlight | null
  /**
   * Sends the call and waits for its receipt; once, however often it is asked for. Reads the chain again right before
   * sending, and sends nothing while another process of the account has something in the pool, unless told to take its
   * place.
   */
  callReward(
    orchestrator: Address,
    options: { takeOver: boolean },
    signal: AbortSignal,
  ): Promise<RewardResult>
}

/** Why an attempt failed. */
export type RewardFailure = Exclude<NotSent, 'not-due' | 'sent-elsewhere'> | 'reverted' | 'late'

/** What the reward service is told. */
export interface RewardOptions {
  /** `automatic`: as soon as, and as long as, the account may. */
  readonly mode: 'on' | 'off' | 'automatic'
  /** The account that sends and pays. */
  readonly account: Address
  /** Whose reward is called: the own account, or the registered orchestrator of `-ethOrchAddr`. */
  readonly orchestrator: Address
  /** Whether the process has no other role, so that it is idle when reward is off. */
  readonly alone: boolean
}

/** What the reward service works with. */
export interface RewardNeeds {
  readonly chain: RewardChain
  readonly watch: Pick<ChainWatch, 'subscribe'>
  readonly rounds: { onRound(listener: (round: bigint) => void, signal: AbortSignal): void }
  readonly gas: { readonly gasPrice: bigint }
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** The state of the reward service, for the operator. */
export interface RewardStatus {
  readonly mode: 'on' | 'off' | 'automatic'
  /** `unknown` until the chain was read, `off` where the account is not told or not allowed to call. */
  readonly state: 'unknown' | 'off' | RewardStand
  /** Why reward is not called where an operator would expect it, as a sentence. */
  readonly why: string | null
  readonly orchestrator: Address
  readonly account: Address
  readonly currentRound: bigint | null
  readonly lastRewardRound: bigint | null
  /** When the chain is looked at again, or the call tried again; in ms since the epoch. */
  readonly nextLookMs: number | null
  readonly inFlight: InFlight | null
  /** Wei. */
  readonly balance: bigint | null
  /** For how many rounds the balance lasts, at what calls have cost so far; null while that is not known. */
  readonly roundsLeft: bigint | null
  readonly lastError: { readonly atMs: number; readonly message: string } | null
  /** Since the start. */
  readonly called: number
  readonly missed: bigint
}

/** The orchestrator for which the account may call reward, and its state. */
interface Duty {
  readonly orchestrator: Address
  readonly view: RewardView
}

/**
 * Calls reward once in every round in which the orchestrator is active. It decides by the chain's state, not by events:
 * it reads that at the start, whenever something may have changed and every few minutes, and tries until the round ends.
 */
export class RewardService implements Service {
  readonly name = 'reward'
  readonly #options: RewardOptions
  readonly #needs: RewardNeeds
  readonly #alarm = new Alarm()
  #duty: Duty | null = null
  #state: RewardStatus['state'] = 'unknown'
  #why: string | null = null
  /** Whether the account was once allowed to call reward. */
  #wasOn = false
  #balance: bigint | null = null
  #paid = { fees: 0n, calls: 0 }
  #missed = 0n
  /** The last round for which missed rewards were reported. */
  #accountedFor: bigint | null = null
  #failures = 0
  #chainFailed = false
  #othersSinceMs: number | null = null
  #succeeded: { readonly round: bigint; readonly atMs: number } | null = null
  #nextLookMs: number | null = null
  #lastError: RewardStatus['lastError'] = null
  /** The messages already logged in this round. */
  readonly #said = new Set<string>()
  #saidInRound: bigint | null = null

  constructor(options: RewardOptions, needs: RewardNeeds) {
    this.#options = options
    this.#needs = needs
  }

  /** Throws NodeError `cannot-call-reward` where reward was asked for and the account may not call it. */
  async start(scope: Scope): Promise<void> {
    const { log, rounds, watch } = this.#needs
    const { mode } = this.#options
    if (mode === 'off') {
      this.#rest('-reward=false')
      return log.info('reward is off', { why: this.#why })
    }
    if (mode === 'on') await this.#refuseIfImpossible(scope.signal)
    rounds.onRound(() => this.#alarm.ring(), scope.signal)
    watch.subscribe((update) => this.#follow(update), scope.signal)
    scope.spawn('call reward', (signal) => this.#run(signal))
  }

  /** The state, from memory. */
  status(): RewardStatus {
    const { account, mode } = this.#options
    const orchestrator = this.#duty?.orchestrator ?? this.#options.orchestrator
    return {
      mode,
      state: this.#state,
      why: this.#why,
      orchestrator,
      account,
      currentRound: this.#duty?.view.currentRound ?? null,
      lastRewardRound: this.#duty?.view.lastRewardRound ?? null,
      nextLookMs: this.#nextLookMs,
      inFlight: mode === 'off' ? null : this.#needs.chain.rewardInFlight(orchestrator),
      balance: this.#balance,
      roundsLeft: this.#roundsLeft,
      lastError: this.#lastError,
      called: this.#paid.calls,
      missed: this.#missed,
    }
  }

  get #roundsLeft(): bigint | null {
    if (this.#balance === null) return null
    const { calls, fees } = this.#paid
    return callsLeft(this.#balance, calls > 0 ? fees / BigInt(calls) : GAS_GUESS * this.#needs.gas.gasPrice)
  }

  async #refuseIfImpossible(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs
    for (let failures = 1; ; failures++) {
      const found = await this.#look().catch((error) => {
        log.warn('cannot yet tell whether this account may call reward', { reason: messageOf(error) })
        return null
      })
      if (found && 'orchestrator' in found) return
      if (found)
        throw new NodeError<RewardFault>(
          'cannot-call-reward',
          `cannot call reward: ${found.why}, or leave -reward out`,
        )
      await clock.sleep(backOffMs(failures), signal)
    }
  }

  #follow({ events, reorganised }: ChainUpdate): void {
    const concerns = (event: ChainUpdate['events'][number]) =>
      'orchestrator' in event &&
      (event.orchestrator === this.#options.orchestrator || event.orchestrator === this.#options.account)
    // A block after a failed call: the chain answers again.
    if (reorganised || this.#chainFailed || events.some(concerns)) this.#alarm.ring()
    if (reorganised) this.#succeeded = null
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs
    for (;;) {
      const waitMs = await this.#turn(signal)
      this.#nextLookMs = clock.now() + waitMs
      await this.#alarm.wait(clock, waitMs, signal)
    }
  }

  /** Reads the chain and does what is due. Returns how long to wait, in ms, unless something happens. */
  async #turn(signal: AbortSignal): Promise<number> {
    try {
      const found = await this.#look()
      this.#chainFailed = false
      this.#balance = await this.#needs.chain.balance().catch(() => this.#balance)
      if (!('orchestrator' in found)) return this.#explainOff(found)
      this.#take(found)
      switch (this.#state) {
        case 'due':
          return await this.#call(found, signal)
        case 'not-active':
          return this.#explainInactive(found)
        case 'called':
          this.#failures = 0
          this.#othersSinceMs = null
          this.#lastError = null
          return LOOK_MS
        default:
          return EXPECTANT_LOOK_MS
      }
    } catch (error) {
      if (signal.aborted && isAbort(error)) throw error
      return this.#fail('chain-unavailable', messageOf(error))
    }
  }

  #explainInactive({ orchestrator, view }: Duty): number {
    const { activationRound, currentRound, deactivationRound } = view
    this.#why = `${orchestrator} is not active in round ${currentRound}`
    const message = 'reward not called: the orchestrator is not active in this round'
    // A newly registered orchestrator becomes active with the next round: nothing to do.
    const level = activationRound > currentRound ? 'info' : 'warn'
    this.#say('not-active', level, message, { activationRound, deactivationRound })
    return LOOK_MS
  }

  /** The orchestrator for which this account may call reward now, or why there is none. */
  async #look(): Promise<Duty | { readonly why: string; readonly round: bigint }> {
    const { account, orchestrator } = this.#options
    const { chain } = this.#needs
    const view = await chain.rewardView(orchestrator)
    if (orchestrator === account || view.rewardCaller === account) {
      if (view.registered || view.active) return { orchestrator, view }
      return {
        why: `${orchestrator} is not a registered orchestrator: register it`,
        round: view.currentRound,
      }
    }
    const own = await chain.rewardView(account)
    if (own.registered || own.active) return { orchestrator: account, view: own }
    const instead = view.rewardCaller ? `, which is ${view.rewardCaller}` : ''
    return {
      why: `${account} is neither a registered orchestrator nor the reward caller of ${orchestrator}${instead}: let ${orchestrator} make it its reward caller, or use the key of ${orchestrator}`,
      round: view.currentRound,
    }
  }

  #explainOff({ round, why }: { why: string; round: bigint }): number {
    const { alone, mode } = this.#options
    this.#inRound(round)
    if (this.#wasOn || mode === 'on' || alone) {
      this.#say('off', 'warn', 'reward is off: this account cannot call it', { why })
    } else if (this.#why !== why) {
      this.#needs.log.info('reward is off: this account cannot call it', { why })
    }
    this.#rest(why)
    return LOOK_MS
  }

  #rest(why: string): void {
    this.#duty = null
    this.#state = 'off'
    this.#why = why
    this.#accountedFor = null
  }

  /** Takes over what was read, and accounts for the rounds that ended. */
  #take(duty: Duty): void {
    const { events, log } = this.#needs
    const { orchestrator, view } = duty
    const ended = view.currentRound - 1n
    if (this.#duty?.orchestrator !== orchestrator) {
      this.#accountedFor = ended
      this.#wasOn = true
      log.info('reward is on', { orchestrator, account: this.#options.account })
    }
    this.#inRound(view.currentRound)
    this.#duty = duty
    this.#state = rewardStand(view)
    this.#why = null
    const missed = missedRounds(view, this.#accountedFor! + 1n)
    if (ended > this.#accountedFor!) this.#accountedFor = ended
    if (missed) {
      this.#missed += missed.last - missed.first + 1n
      events.tell({ kind: 'rewards-missed', ...missed })
      log.error('rounds ended without a reward call', { ...missed, orchestrator })
    }
    const left = this.#roundsLeft
    if (left !== null && left < FEW_CALLS) {
      this.#say('few-calls', 'warn', 'account balance covers only a few more reward calls: send it ether', {
        ...this.#money,
      })
    }
  }

  get #money(): Fields {
    return { account: this.#options.account, balance: this.#balance, rounds: this.#roundsLeft }
  }

  /** One attempt. Every outcome but success leads to another look. */
  async #call({ orchestrator, view }: Duty, signal: AbortSignal): Promise<number> {
    const { chain, clock } = this.#needs
    const round = view.currentRound
    const done = this.#succeeded
    if (done?.round === round && clock.now() - done.atMs < BELIEVED_DUE_MS) return FIRST_RETRY_MS
    const takeOver = this.#othersSinceMs !== null && clock.now() - this.#othersSinceMs >= OTHERS_PATIENCE_MS
    const result = await chain.callReward(orchestrator, { takeOver }, signal)
    if (result.kind === 'not-sent' && result.why === 'sent-elsewhere') return this.#waitForOthers()
    this.#othersSinceMs = null
    switch (result.kind) {
      case 'mined':
        if (!result.success) return this.#failUnlessCalled('reverted', `${result.txHash} failed`)
        this.#succeeded = { round, atMs: clock.now() }
        return this.#noteSuccess(round, result)
      case 'timed-out':
        return this.#fail('late', `no receipt of ${result.txHash} yet`, { txHash: result.txHash })
      case 'not-sent':
        if (result.why === 'not-due' || result.why === 'sent-elsewhere') return OTHERS_LOOK_MS
        if (result.why === 'refused') return this.#failUnlessCalled(result.why, result.reason)
        return this.#fail(result.why, result.reason)
    }
  }

  #noteSuccess(round: bigint, result: { txHash: Hex; fee: bigint; reward: bigint }): number {
    const { fee, reward, txHash } = result
    this.#paid = { fees: this.#paid.fees + fee, calls: this.#paid.calls + 1 }
    this.#needs.events.tell({ kind: 'reward-called', round, reward, fee })
    this.#needs.log.info('reward called', { round, reward, fee, txHash })
    return FIRST_RETRY_MS
  }

  #waitForOthers(): number {
    this.#othersSinceMs ??= this.#needs.clock.now()
    this.#say(
      'others',
      'warn',
      'reward waits: another process of this account has a transaction in the pool',
      {
        account: this.#options.account,
      },
    )
    return OTHERS_LOOK_MS
  }

  /** A refusal may only mean that another account was first. */
  async #failUnlessCalled(why: RewardFailure, reason: string): Promise<number> {
    const again = await this.#look()
    if ('orchestrator' in again && rewardStand(again.view) !== 'due') return 0
    return this.#fail(why, reason)
  }

  #fail(why: RewardFailure, reason: string, fields: Fields = {}): number {
    const { clock, events } = this.#needs
    this.#failures++
    this.#chainFailed = why === 'chain-unavailable'
    this.#lastError = { atMs: clock.now(), message: reason }
    if (this.#state === 'due')
      events.tell({ kind: 'reward-failed', round: this.#duty!.view.currentRound, reason: why })
    const { level, message } = SENTENCES[why]
    const money = why === 'no-money' ? this.#money : {}
    this.#say(why, level, message, { reason, ...fields, ...money })
    return backOffMs(this.#failures)
  }

  /** In a new round messages may be logged again. */
  #inRound(round: bigint): void {
    if (this.#saidInRound === round) return
    this.#saidInRound = round
    this.#said.clear()
    this.#failures = 0
  }

  /** Logs a message once in a round, and after that at debug level. */
  #say(key: string, level: 'error' | 'warn' | 'info', message: string, fields: Fields): void {
    const { log } = this.#needs
    const round = this.#saidInRound
    log[this.#said.has(key) ? 'debug' : level](message, { round, ...fields })
    this.#said.add(key)
  }
}

/** What the operator reads about each failure. */
const SENTENCES: Readonly<Record<RewardFailure, { level: 'error' | 'warn'; message: string }>> = {
  refused: { level: 'warn', message: 'reward not called, retrying: the contract would refuse' },
  'gas-too-high': {
    level: 'warn',
    message: 'reward not called, retrying: the gas price is above -maxGasPrice',
  },
  'no-money': {
    level: 'error',
    message: 'reward not called: the account has too little ether, send it some',
  },
  'chain-unavailable': {
    level: 'warn',
    message: 'reward call failed, retrying',
  },
  reverted: { level: 'warn', message: 'reward transaction failed, retrying' },
  late: { level: 'warn', message: 'reward transaction not mined yet' },
}

function backOffMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), LONGEST_RETRY_MS)
}
