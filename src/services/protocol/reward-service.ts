import type { ChainUpdate } from '../../domain/chain.ts'
import type { CallResult, InFlight, NotSent } from '../../domain/chain-call.ts'
import type { NodeEvents } from '../../domain/events.ts'
import { callsLeft, missedRounds, type RewardStand, rewardStand } from '../../domain/reward.ts'
import { Alarm } from '../../lib/alarm.ts'
import type { Hex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Address } from '../../lib/crypto.ts'
import { isAbort, messageOf, NodeError } from '../../lib/errors.ts'
import type { Fields, Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'
import type { Scope, Service } from '../../lib/service.ts'
import type { Leads } from '../../lib/terms.ts'
import { findRewardRight, type NoRewardRight, type RewardRight, type RewardView } from './reward-right.ts'
import type { ChainWatch } from './rounds.ts'

/** Why no reward can be called. */
export type RewardFault = 'cannot-call-reward'

/** The chain is read again after this time even without an event; sooner while a reward is expected. */
const LOOK_MS = 5 * 60_000
const EXPECTANT_LOOK_MS = 60_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** How soon to check whether another sender's pending transaction was mined. */
const OTHERS_LOOK_MS = 2_000
/** After this time, another process's pending transaction is replaced by a call that pays more. */
const OTHERS_PATIENCE_MS = 5 * 60_000
/** Reads may lag behind a successful call: for this time, a reward that reads as due is not called again. */
const BELIEVED_DUE_MS = 60_000
/** Gas assumed for a call until one has been paid for: a little more than usual. */
const GAS_GUESS = 500_000n
/** The operator is warned in each round while the balance covers fewer calls than this. */
const FEW_CALLS = 10n

/** The outcome of a reward call. */
export type RewardResult =
  | Exclude<CallResult, { kind: 'mined' }>
  | (Extract<CallResult, { kind: 'mined' }> & {
      /** The amount minted to the orchestrator, in the smallest unit of LPT. */
      readonly reward: bigint
      /** The round in which it was mined, which may be an earlier one; null where that cannot be read. */
      readonly round: bigint | null
    })

/** The chain access for calling reward. */
export interface RewardChain {
  rewardView(orchestrator: Address): Promise<RewardView>
  /** The balance of the account that pays for the calls, in wei. */
  balance(): Promise<bigint>
  /** The open call, also from before a restart. */
  rewardInFlight(orchestrator: Address): InFlight | null
  /**
   * Sends the call, at most once, and waits for its receipt. Reads the chain again right before sending, and sends
   * nothing while another process of the account has a pending transaction, unless `takeOver` allows replacing it.
   */
  callReward(
    orchestrator: Address,
    options: { takeOver: boolean },
    signal: AbortSignal,
  ): Promise<RewardResult>
}

/** Why an attempt failed. */
export type RewardFailure = Exclude<NotSent, 'not-due' | 'sent-elsewhere'> | 'reverted' | 'late'

/** Settings of the reward service. */
export interface RewardOptions {
  /** `automatic`: whenever the account may call it. */
  readonly mode: 'on' | 'off' | 'automatic'
  /** The account that sends and pays. */
  readonly account: Address
  /** The orchestrator to call reward for: the account itself, or that of `-ethOrchAddr`. */
  readonly orchestrator: Address
  /** Whether the process has no other role: it is idle when reward is off. */
  readonly alone: boolean
  /** Whether the account may well be no orchestrator's, as a gateway's: then nothing is advised. */
  readonly isOptional?: boolean
}

/** What the reward service works with. */
export interface RewardNeeds {
  readonly chain: RewardChain
  readonly watch: Pick<ChainWatch, 'subscribe'>
  readonly rounds: { onRound(listener: (round: bigint) => void, signal: AbortSignal): void }
  readonly gas: { readonly gasPrice: bigint }
  /** Whether this process may send; null where no other one has its account and store. */
  readonly leads?: Leads | null
  readonly clock: Clock
  readonly log: Log
  readonly events: NodeEvents
}

/** The state of the reward service, for the operator. */
export interface RewardStatus {
  readonly mode: 'on' | 'off' | 'automatic'
  /** `unknown` until the chain has been read; `off` by settings, or because the account may not call. */
  readonly state: 'unknown' | 'off' | RewardStand
  /** Why reward is not called although an operator might expect it, as a sentence. */
  readonly why: string | null
  readonly orchestrator: Address
  readonly account: Address
  readonly currentRound: bigint | null
  readonly lastRewardRound: bigint | null
  /** When the chain is read again, or the call retried; in ms since the epoch. */
  readonly nextLookMs: number | null
  readonly inFlight: InFlight | null
  /** Wei. */
  readonly balance: bigint | null
  /** How many rounds the balance lasts at the average cost of past calls; null while unknown. */
  readonly roundsLeft: bigint | null
  readonly lastError: { readonly atMs: number; readonly message: string } | null
  /** Since the start. */
  readonly called: number
  readonly missed: bigint
}

/**
 * Calls reward once in every round in which the orchestrator is active. It decides by the state on chain, not by
 * events: it reads the state at startup, whenever something may have changed and every few minutes, and retries until
 * the round ends.
 */
export class RewardService implements Service {
  readonly name = 'reward'
  readonly #options: RewardOptions
  readonly #needs: RewardNeeds
  readonly #alarm = new Alarm()
  #right: RewardRight | null = null
  #state: RewardStatus['state'] = 'unknown'
  #why: string | null = null
  /** Whether the account has ever been allowed to call reward. */
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

  /** Throws NodeError `cannot-call-reward` if `mode` is `on` and the account may not call reward. */
  async start(scope: Scope): Promise<void> {
    const { log, rounds, watch } = this.#needs
    const { mode } = this.#options
    if (mode === 'off') {
      this.#rest('-reward=false')
      return log.info('reward is off', { why: this.#why })
    }
    if (mode === 'on') await this.#refuseIfImpossible(scope.signal)
    rounds.onRound(() => this.#alarm.ring(), scope.signal)
    this.#needs.leads?.onChange(() => this.#alarm.ring(), scope.signal)
    watch.subscribe((update) => this.#follow(update), scope.signal)
    scope.spawn('call reward', (signal) => this.#run(signal))
  }

  /** The state, from memory. */
  status(): RewardStatus {
    const { account, mode } = this.#options
    const orchestrator = this.#right?.orchestrator ?? this.#options.orchestrator
    return {
      mode,
      state: this.#state,
      why: this.#why,
      orchestrator,
      account,
      currentRound: this.#right?.view.currentRound ?? null,
      lastRewardRound: this.#right?.view.lastRewardRound ?? null,
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
    const { clock } = this.#needs
    const untold = new PassingFailure(
      {
        message: 'cannot yet tell whether this account may call reward',
        over: 'known whether this account may call reward',
      },
      this.#needs,
    )
    for (let failures = 1; ; failures++) {
      const found = await this.#findRight().catch((error) => {
        untold.failed({ reason: messageOf(error) })
        return null
      })
      if (found) untold.passed()
      if (found && 'orchestrator' in found) return
      if (found)
        throw new NodeError<RewardFault>(
          'cannot-call-reward',
          `cannot call reward: ${found.why}: ${found.advice}, or leave -reward out`,
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

  /** Reads the chain and does what is due. Returns how long to wait for the next event, in ms. */
  async #turn(signal: AbortSignal): Promise<number> {
    try {
      const found = await this.#findRight()
      this.#chainFailed = false
      this.#balance = await this.#needs.chain.balance().catch(() => this.#balance)
      if (!('orchestrator' in found)) return this.#explainOff(found)
      this.#take(found)
      switch (this.#state) {
        case 'due':
          // The leader calls it; this process looks again when that one ends.
          if (this.#needs.leads?.epoch === null) return EXPECTANT_LOOK_MS
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

  #findRight(): Promise<RewardRight | NoRewardRight> {
    return findRewardRight(this.#needs.chain, this.#options)
  }

  #explainInactive({ orchestrator, view }: RewardRight): number {
    const { activationRound, currentRound, deactivationRound } = view
    this.#why = `${orchestrator} is not active in round ${currentRound}`
    const message = 'reward not called: the orchestrator is not active in this round'
    // A newly registered orchestrator becomes active with the next round: nothing to do.
    const level = activationRound > currentRound ? 'info' : 'warn'
    this.#say('not-active', level, message, { activationRound, deactivationRound })
    return LOOK_MS
  }

  #explainOff({ advice, round, why: reason }: NoRewardRight): number {
    const { alone, isOptional = false, mode } = this.#options
    this.#inRound(round)
    const isExpected = this.#wasOn || mode === 'on' || !isOptional
    const why = isExpected ? `${reason}: ${advice}` : reason
    if (!isExpected) {
      this.#needs.log.debug('reward is off: this account cannot call it', { why })
    } else if (this.#wasOn || mode === 'on' || alone) {
      this.#say('off', 'warn', 'reward is off: this account cannot call it', { why })
    } else if (this.#why !== why) {
      this.#needs.log.info('reward is off: this account cannot call it', { why })
    }
    this.#rest(why)
    return LOOK_MS
  }

  #rest(why: string): void {
    this.#right = null
    this.#state = 'off'
    this.#why = why
    this.#accountedFor = null
  }

  /** Adopts the state that was read, and accounts for the rounds that ended. */
  #take(right: RewardRight): void {
    const { events, log } = this.#needs
    const { orchestrator, view } = right
    const ended = view.currentRound - 1n
    if (this.#right?.orchestrator !== orchestrator) {
      this.#accountedFor = ended
      this.#wasOn = true
      log.info('reward is on', { orchestrator, account: this.#options.account })
    }
    this.#inRound(view.currentRound)
    this.#right = right
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

  /** Makes one attempt. Returns how long to wait before the chain is read again, in ms. */
  async #call({ orchestrator, view }: RewardRight, signal: AbortSignal): Promise<number> {
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
        this.#succeeded = { round: result.round ?? round, atMs: clock.now() }
        return this.#noteSuccess(result.round ?? round, result)
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
    this.#needs.events.tell({ kind: 'reward-called', round, reward, fee, txHash })
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

  /** Fails, unless a new read shows that another account called reward first. */
  async #failUnlessCalled(why: RewardFailure, reason: string): Promise<number> {
    const again = await this.#findRight()
    if ('orchestrator' in again && rewardStand(again.view) !== 'due') return 0
    return this.#fail(why, reason)
  }

  #fail(why: RewardFailure, reason: string, fields: Fields = {}): number {
    const { clock, events } = this.#needs
    this.#failures++
    this.#chainFailed = why === 'chain-unavailable'
    this.#lastError = { atMs: clock.now(), message: reason }
    if (this.#state === 'due')
      events.tell({ kind: 'reward-failed', round: this.#right!.view.currentRound, reason: why })
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

/** The log message of each failure. */
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
