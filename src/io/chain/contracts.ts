import { keccak256, parseAbi, stringToBytes } from 'viem'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'

/** The contracts' functions and events that the node uses, in the contracts' own words (chain.md §3). */
export const abis = {
  Controller: parseAbi([
    'function getContract(bytes32) view returns (address)',
    'function paused() view returns (bool)',
  ]),
  RoundsManager: parseAbi([
    'function currentRound() view returns (uint256)',
    'function lastInitializedRound() view returns (uint256)',
    'function currentRoundInitialized() view returns (bool)',
    'function currentRoundLocked() view returns (bool)',
    'function currentRoundStartBlock() view returns (uint256)',
    'function blockHashForRound(uint256) view returns (bytes32)',
    'function roundLength() view returns (uint256)',
    'function roundLockAmount() view returns (uint256)',
    'function initializeRound()',
    'event NewRound(uint256 indexed round, bytes32 blockHash)',
  ]),
  BondingManager: parseAbi([
    'function getTranscoder(address) view returns (uint256 lastRewardRound, uint256 rewardCut, uint256 feeShare, uint256 lastActiveStakeUpdateRound, uint256 activationRound, uint256 deactivationRound, uint256 activeCumulativeRewards, uint256 cumulativeRewards, uint256 cumulativeFees, uint256 lastFeeRound)',
    'function transcoderStatus(address) view returns (uint8)',
    'function transcoderTotalStake(address) view returns (uint256)',
    'function isActiveTranscoder(address) view returns (bool)',
    'function getFirstTranscoderInPool() view returns (address)',
    'function getNextTranscoderInPool(address) view returns (address)',
    'function getTranscoderPoolSize() view returns (uint256)',
    'function getTranscoderPoolMaxSize() view returns (uint256)',
    'function getTranscoderEarningsPoolForRound(address, uint256) view returns (uint256 totalStake, uint256 transcoderRewardCut, uint256 transcoderFeeShare, uint256 cumulativeRewardFactor, uint256 cumulativeFeeFactor)',
    'function getTotalBonded() view returns (uint256)',
    'function treasuryRewardCutRate() view returns (uint256)',
    'function getDelegator(address) view returns (uint256 bondedAmount, uint256 fees, address delegateAddress, uint256 delegatedAmount, uint256 startRound, uint256 lastClaimRound, uint256 nextUnbondingLockId)',
    'function getDelegatorUnbondingLock(address, uint256) view returns (uint256 amount, uint256 withdrawRound)',
    'function delegatorStatus(address) view returns (uint8)',
    'function pendingStake(address, uint256) view returns (uint256)',
    'function pendingFees(address, uint256) view returns (uint256)',
    'function unbondingPeriod() view returns (uint64)',
    'function transcoder(uint256 rewardCut, uint256 feeShare)',
    'function bondWithHint(uint256 amount, address to, address oldDelegateNewPosPrev, address oldDelegateNewPosNext, address currDelegateNewPosPrev, address currDelegateNewPosNext)',
    'function unbondWithHint(uint256 amount, address newPosPrev, address newPosNext)',
    'function rebondWithHint(uint256 unbondingLockId, address newPosPrev, address newPosNext)',
    'function rebondFromUnbondedWithHint(address to, uint256 unbondingLockId, address newPosPrev, address newPosNext)',
    'function withdrawStake(uint256 unbondingLockId)',
    'function withdrawFees(address recipient, uint256 amount)',
    'function claimEarnings(uint256 endRound)',
    'function rewardWithHint(address newPosPrev, address newPosNext)',
    'function transcoderToRewardCaller(address) view returns (address)',
    'function rewardForTranscoderWithHint(address transcoder, address newPosPrev, address newPosNext)',
    'event TranscoderActivated(address indexed transcoder, uint256 activationRound)',
    'event TranscoderDeactivated(address indexed transcoder, uint256 deactivationRound)',
    'event Reward(address indexed transcoder, uint256 amount)',
  ]),
  TicketBroker: parseAbi([
    'struct Account { uint256 deposit; uint256 withdrawRound; }',
    'struct Reserve { uint256 fundsRemaining; uint256 claimedInCurrentRound; }',
    'struct Ticket { address recipient; address sender; uint256 faceValue; uint256 winProb; uint256 senderNonce; bytes32 recipientRandHash; bytes auxData; }',
    'function getSenderInfo(address) view returns (Account sender, Reserve reserve)',
    'function usedTickets(bytes32) view returns (bool)',
    'function claimedReserve(address reserveHolder, address claimant) view returns (uint256)',
    'function claimableReserve(address reserveHolder, address claimant) view returns (uint256)',
    'function unlockPeriod() view returns (uint256)',
    'function redeemWinningTicket(Ticket ticket, bytes sig, uint256 recipientRand)',
    'function batchRedeemWinningTickets(Ticket[] tickets, bytes[] sigs, uint256[] recipientRands)',
    'function fundDepositAndReserve(uint256 depositAmount, uint256 reserveAmount) payable',
    'function fundDeposit() payable',
    'function unlock()',
    'function cancelUnlock()',
    'function withdraw()',
    'event DepositFunded(address indexed sender, uint256 amount)',
    'event ReserveFunded(address indexed reserveHolder, uint256 amount)',
    'event Withdrawal(address indexed sender, uint256 deposit, uint256 reserve)',
    'event WinningTicketTransfer(address indexed sender, address indexed recipient, uint256 amount)',
    'event WinningTicketRedeemed(address indexed sender, address indexed recipient, uint256 faceValue, uint256 winProb, uint256 senderNonce, uint256 recipientRand, bytes auxData)',
    'event ReserveClaimed(address indexed reserveHolder, address claimant, uint256 amount)',
    'event Unlock(address indexed sender, uint256 startRound, uint256 endRound)',
    'event UnlockCancelled(address indexed sender)',
  ]),
  Minter: parseAbi([
    'function currentMintableTokens() view returns (uint256)',
    'function inflation() view returns (uint256)',
    'function inflationChange() view returns (uint256)',
    'function targetBondingRate() view returns (uint256)',
    'function getGlobalTotalSupply() view returns (uint256)',
  ]),
  LivepeerToken: parseAbi([
    'function balanceOf(address) view returns (uint256)',
    'function allowance(address owner, address spender) view returns (uint256)',
    'function approve(address spender, uint256 amount) returns (bool)',
    'function transfer(address to, uint256 amount) returns (bool)',
  ]),
  Faucet: parseAbi(['function nextValidRequest(address) view returns (uint256)', 'function request()']),
  Poll: parseAbi(['function vote(uint256 choiceID)', 'function endBlock() view returns (uint256)']),
  LivepeerGovernor: parseAbi([
    'function castVote(uint256 proposalId, uint8 support) returns (uint256)',
    'function castVoteWithReason(uint256 proposalId, uint8 support, string reason) returns (uint256)',
    'error InvalidVoteType(uint8 voteType)',
    'error VoteAlreadyCast()',
  ]),
  ServiceRegistry: parseAbi([
    'function getServiceURI(address) view returns (string)',
    'function setServiceURI(string serviceURI)',
    'event ServiceURIUpdate(address indexed addr, string serviceURI)',
  ]),
  Aggregator: parseAbi([
    'function description() view returns (string)',
    'function decimals() view returns (uint8)',
    'function latestRoundData() view returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)',
  ]),
} as const

/** The contracts' addresses, as the Controller says. They are proxies: upgrades change nothing here (chain.md §2). */
export interface ContractAddresses {
  readonly controller: Address
  readonly roundsManager: Address
  readonly bondingManager: Address
  readonly ticketBroker: Address
  readonly serviceRegistry: Address
  /** Zero on networks without one: calls to it fail. */
  readonly minter: Address
  readonly token: Address
  readonly faucet: Address
  /** Decides on the treasury. */
  readonly governor: Address
}

/** The Controller's name for each contract, and whether the node can do without it. */
export const CONTRACT_NAMES = {
  roundsManager: { name: 'RoundsManager', required: true },
  bondingManager: { name: 'BondingManager', required: true },
  ticketBroker: { name: 'TicketBroker', required: true },
  serviceRegistry: { name: 'ServiceRegistry', required: true },
  minter: { name: 'Minter', required: false },
  token: { name: 'LivepeerToken', required: false },
  faucet: { name: 'LivepeerTokenFaucet', required: false },
  governor: { name: 'LivepeerGovernor', required: false },
} as const satisfies Record<
  Exclude<keyof ContractAddresses, 'controller'>,
  { name: string; required: boolean }
>

/** The Controller's key for a name: its keccak-256, without padding or prefix (chain.md §2). */
export function contractId(name: string): Hex {
  return keccak256(stringToBytes(name))
}
