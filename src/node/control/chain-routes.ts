import { z } from 'zod'
import { presets } from '../../domain/rendition.ts'
import type { DelegatorDetails, OrchestratorDetails } from '../../io/chain/operator-reads.ts'
import { ControlError, type ControlRoute, route } from '../../io/http/control-route.ts'
import { messageOf } from '../../lib/errors.ts'
import { type ControlledNode, chainOf, partsOf, unlessOnChain } from './context.ts'
import { integer } from './parameters.ts'

/** The routes that read the chain, for the node's account and the orchestrator that it works for (operations.md §4). */
export function chainRoutes(node: ControlledNode): ControlRoute[] {
  const onChain = { changes: false, ...unlessOnChain(node) }
  const chain = () => chainOf(node)
  /** A reading whose failure is told after these words. */
  const read = async <T>(words: string, reading: () => Promise<T>): Promise<T> => {
    try {
      return await reading()
    } catch (error) {
      if (error instanceof ControlError) throw error
      throw new ControlError('refused', `${words}${messageOf(error)}`)
    }
  }
  return [
    route('/EthChainID', {
      about: 'The id of the chain; 0 offchain.',
      changes: false,
      answer: () => ({ text: node.settings.chain === null ? '0' : chain().access.chainId.toString() }),
    }),
    route('/currentBlock', {
      ...onChain,
      about: 'The number of the newest block that the node has followed, as big-endian bytes.',
      answer: () => {
        const { head } = chain().watch
        if (!head) throw new ControlError('refused', 'no block has been followed yet', 503)
        return { bytes: bigEndian(head.number) }
      },
    }),
    route('/currentRound', {
      ...onChain,
      about: 'The round of the newest block.',
      answer: async () => {
        const { current } = await read('could not query current round: ', () =>
          chain().operator.reads.round(),
        )
        return { text: current.toString() }
      },
    }),
    route('/roundInitialized', {
      ...onChain,
      about: 'Whether that round is initialised.',
      answer: async () => {
        const { initialized } = await read('could not get initialized round: ', () =>
          chain().operator.reads.round(),
        )
        return { text: String(initialized) }
      },
    }),
    route('/orchestratorInfo', {
      ...onChain,
      about: 'The orchestrator that this node works for, as registered on chain, and the price that it asks.',
      answer: async () => {
        const { operator, recipient } = chain()
        const details = await operator.reads.orchestrator(recipient).catch((error) => {
          throw new ControlError('refused', 'could not get transcoder', undefined, { cause: error })
        })
        const prices = partsOf(node).orchestrator?.prices
        const PriceInfo = prices ? prices.everyone().toString() : null
        return { bare: { Transcoder: familiarOrchestrator(details, null), PriceInfo } }
      },
    }),
    route('/registeredOrchestrators', {
      ...onChain,
      about: 'The orchestrators of the pool, most stake first.',
      answer: async () => {
        const pool = await read('', () => chain().operator.reads.pool())
        return { bare: pool.map((details) => familiarOrchestrator(details, '0')) }
      },
    }),
    route('/orchestratorEarningPoolsForRound', {
      ...onChain,
      about: 'The pool of one round of the orchestrator that this node works for.',
      refusesFirst: true,
      params: z.object({ round: integer('the number of a round').optional() }),
      answer: async ({ round }) => {
        if (round === undefined) throw new ControlError('bad-parameter', 'failed to parse big integer')
        const { operator, recipient } = chain()
        const pool = await read('', () => operator.reads.earningsPool(recipient, round))
        return {
          bare: {
            TotalStake: pool.totalStake,
            TranscoderRewardCut: pool.rewardCut,
            TranscoderFeeShare: pool.feeShare,
            CumulativeRewardFactor: pool.cumulativeRewardFactor,
            CumulativeFeeFactor: pool.cumulativeFeeFactor,
          },
        }
      },
    }),
    route('/delegatorInfo', {
      ...onChain,
      about: 'The stake and the earnings of the account.',
      answer: async () => {
        const { account, operator } = chain()
        return { bare: familiarDelegator(await read('', () => operator.reads.delegator(account))) }
      },
    }),
    route('/unbondingLocks', {
      ...onChain,
      about:
        'What the account has unbonded and not withdrawn; with withdrawable=true, what can be withdrawn.',
      params: z.object({
        withdrawable: z.string().optional().meta({ description: 'true for those whose round has come' }),
      }),
      answer: async ({ withdrawable }) => {
        const { account, operator } = chain()
        const [locks, { current }] = await read('', () =>
          Promise.all([operator.reads.locks(account), operator.reads.round()]),
        )
        const shown = withdrawable === 'true' ? locks.filter((lock) => lock.withdrawRound <= current) : locks
        const Delegator = account.toLowerCase()
        return {
          bare: shown.map(({ amount, id, withdrawRound }) => ({
            ...{ ID: id, Delegator, Amount: amount, WithdrawRound: withdrawRound },
          })),
        }
      },
    }),
    route('/protocolParameters', {
      ...onChain,
      about: 'The parameters of the protocol.',
      answer: async () => {
        const state = await read('', () => chain().operator.reads.protocol())
        return {
          bare: {
            NumActiveTranscoders: state.poolMaxSize,
            RoundLength: state.roundLength,
            RoundLockAmount: state.roundLockAmount,
            UnbondingPeriod: state.unbondingPeriod,
            ...LEGACY_PARAMETERS,
            Inflation: state.inflation,
            InflationChange: state.inflationChange,
            TargetBondingRate: state.targetBondingRate,
            VerificationCodeHash: '',
            TotalBonded: state.totalBonded,
            TotalSupply: state.totalSupply,
            Paused: state.paused,
          },
        }
      },
    }),
    route('/contractAddresses', {
      ...onChain,
      about: 'The addresses of the protocol’s contracts, as its Controller names them.',
      answer: () => {
        const { bondingManager, controller, faucet, minter, roundsManager, ticketBroker, token } =
          chain().access.addresses
        const addresses = {
          ...{ BondingManager: bondingManager, Controller: controller, LivepeerToken: token },
          ...{ LivepeerTokenFaucet: faucet, Minter: minter },
          ...{ RoundsManager: roundsManager, TicketBroker: ticketBroker },
        }
        const lower = Object.entries(addresses).map(([name, address]) => [name, address.toLowerCase()])
        return { bare: Object.fromEntries(lower) }
      },
    }),
    route('/ethAddr', {
      ...onChain,
      about: 'The account of this node.',
      answer: () => ({ text: chain().account }),
    }),
    route('/tokenBalance', {
      ...onChain,
      about: 'The LPT of the account, in its smallest unit.',
      answer: async () => {
        const { account, operator } = chain()
        return { text: (await read('', () => operator.reads.tokenBalance(account))).toString() }
      },
    }),
    route('/ethBalance', {
      ...onChain,
      about: 'The ether of the account, in wei.',
      answer: async () => {
        const { account, client } = chain()
        return { text: (await read('', () => client.ethBalance(account))).toString() }
      },
    }),
    route('/senderInfo', {
      ...onChain,
      about: 'The deposit and the reserve of the account as a sender of tickets, in wei.',
      answer: async () => {
        const { account, client } = chain()
        const info = await read('could not query sender info: ', () => client.senderInfo(account))
        return {
          bare: {
            Deposit: info.deposit,
            WithdrawRound: info.withdrawRound,
            Reserve: {
              FundsRemaining: info.fundsRemaining,
              ClaimedInCurrentRound: info.claimedInCurrentRound,
            },
          },
        }
      },
    }),
    route('/ticketBrokerParams', {
      ...onChain,
      about: 'For how many rounds a sender’s funds stay locked once they are unlocked.',
      answer: async () => {
        const UnlockPeriod = await read('could not query TicketBroker unlockPeriod: ', () =>
          chain().operator.reads.unlockPeriod(),
        )
        return { bare: { UnlockPeriod } }
      },
    }),
    route('/maxGasPrice', {
      ...onChain,
      about: 'The most that is paid for a unit of gas, in wei; empty for no limit.',
      answer: () => {
        const { max } = chain().gas
        return { text: max === 0n ? '' : max.toString() }
      },
    }),
    route('/minGasPrice', {
      ...onChain,
      about: 'The least that is assumed for a unit of gas, in wei.',
      answer: () => ({ text: chain().gas.min.toString() }),
    }),
    route('/getAvailableTranscodingOptions', {
      about: 'The names of the presets for renditions.',
      changes: false,
      answer: () => ({ bare: presets.map(({ name }) => name) }),
    }),
  ]
}

/** Of a protocol before this one; peers answer them still (operations.md §4). */
const LEGACY_PARAMETERS = {
  VerificationRate: 0,
  VerificationPeriod: null,
  SlashingPeriod: null,
  FailedVerificationSlashAmount: null,
  MissedVerificationSlashAmount: null,
  DoubleClaimSegmentSlashAmount: null,
  FinderFee: null,
}

function familiarOrchestrator(details: OrchestratorDetails, PricePerPixel: string | null) {
  return {
    Address: details.address.toLowerCase(),
    ServiceURI: details.serviceUri,
    LastRewardRound: details.lastRewardRound,
    RewardCut: details.rewardCut,
    FeeShare: details.feeShare,
    DelegatedStake: details.delegatedStake,
    ActivationRound: details.activationRound,
    DeactivationRound: details.deactivationRound,
    LastActiveStakeUpdateRound: details.lastActiveStakeUpdateRound,
    Active: details.active,
    Status: details.registered ? 'Registered' : 'Not Registered',
    PricePerPixel,
  }
}

function familiarDelegator(details: DelegatorDetails) {
  return {
    Address: details.address.toLowerCase(),
    BondedAmount: details.bondedAmount,
    Fees: details.fees,
    DelegateAddress: details.delegateAddress.toLowerCase(),
    DelegatedAmount: details.delegatedAmount,
    StartRound: details.startRound,
    LastClaimRound: details.lastClaimRound,
    NextUnbondingLockId: details.nextUnbondingLockId,
    PendingStake: details.pendingStake,
    PendingFees: details.pendingFees,
    Status: details.status,
  }
}

/** Without leading zeros; nothing for 0. */
function bigEndian(value: bigint): Uint8Array {
  const hex = value === 0n ? '' : value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}
