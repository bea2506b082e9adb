import { cancelUnlock, deposit, unlock, withdraw } from './funds-items.ts'
import { accountOf } from './node-facts.ts'
import { becomeOrchestrator, setOrchestratorConfig } from './orchestrator-items.ts'
import { send } from './send.ts'
import type { NodeFacts, Session } from './session.ts'
import {
  setBroadcastConfig,
  setCapabilityPrice,
  setMaxFaceValue,
  setMaxGasPrice,
  setMaxSessions,
  setMinGasPrice,
  setPriceForBroadcaster,
} from './settings-items.ts'
import { signMessage, signTypedData, vote, voteOnProposal } from './signing-items.ts'
import {
  bond,
  initializeRound,
  listOrchestrators,
  rebond,
  reward,
  transfer,
  unbond,
  withdrawFees,
  withdrawStake,
} from './staking-items.ts'
import { isForOrchestrators, showProtocol, showStatus } from './status-item.ts'

/** An item of the menu. */
export interface MenuItem {
  readonly title: string
  /** Whether a node has it; absent: every one. */
  readonly isFor?: (facts: NodeFacts) => boolean
  /** What it does. Null ends the wizard. */
  readonly run: ((session: Session) => Promise<unknown>) | null
}

/** Chains on which LPT and ether are given away. */
const TEST_CHAINS = [4n, 54_321n, 421_611n]

const forOrchestrators = { isFor: isForOrchestrators }
const forGateways = { isFor: (facts: NodeFacts) => !isForOrchestrators(facts) }
const forTests = { isFor: ({ chainId }: NodeFacts) => TEST_CHAINS.includes(chainId) }
/** A reward service takes no tickets and no sessions. */
const forNodesWithWork = {
  isFor: ({ isOrchestrator, isRedeemer }: NodeFacts) => isOrchestrator || isRedeemer,
}

/** The menu, in the order and with the titles that operators and their scripts know (operations.md §5). */
const ITEMS: readonly MenuItem[] = [
  { title: 'Get node status', run: showStatus },
  { title: 'View protocol parameters', run: showProtocol },
  { title: 'List registered orchestrators', run: listOrchestrators },
  { title: 'Invoke "initialize round"', run: initializeRound },
  { title: 'Invoke "bond"', run: bond },
  { title: 'Invoke "unbond"', run: unbond },
  { title: 'Invoke "rebond"', run: rebond },
  { title: 'Invoke "withdraw stake" (LPT)', run: withdrawStake },
  { title: 'Invoke "withdraw fees" (ETH)', run: withdrawFees },
  { title: 'Invoke "transfer" (LPT)', run: transfer },
  { title: 'Invoke "reward"', ...forOrchestrators, run: reward },
  { title: 'Invoke multi-step "become an orchestrator"', ...forOrchestrators, run: becomeOrchestrator },
  { title: 'Set orchestrator config', ...forOrchestrators, run: setOrchestratorConfig },
  { title: 'Invoke "deposit broadcasting funds" (ETH)', ...forGateways, run: deposit },
  { title: 'Invoke "unlock broadcasting funds"', ...forGateways, run: unlock },
  { title: 'Invoke "cancel unlock of broadcasting funds"', ...forGateways, run: cancelUnlock },
  { title: 'Invoke "withdraw broadcasting funds"', ...forGateways, run: withdraw },
  { title: 'Set broadcast config', ...forGateways, run: setBroadcastConfig },
  { title: 'Set max price per capability', ...forGateways, run: setCapabilityPrice },
  { title: 'Set maximum Ethereum gas price', run: setMaxGasPrice },
  { title: 'Set minimum Ethereum gas price', run: setMinGasPrice },
  { title: 'Get test LPT', ...forTests, run: requestTokens },
  { title: 'Get test ETH', ...forTests, run: tellFaucet },
  { title: 'Sign a message', run: signMessage },
  { title: 'Sign typed data', run: signTypedData },
  { title: 'Vote in a governance poll', ...forOrchestrators, run: vote },
  { title: 'Vote on a treasury proposal', ...forOrchestrators, run: voteOnProposal },
  { title: 'Set max ticket face value', ...forNodesWithWork, run: setMaxFaceValue },
  { title: 'Set price for broadcaster', ...forNodesWithWork, run: setPriceForBroadcaster },
  { title: 'Set maximum sessions', ...forNodesWithWork, run: setMaxSessions },
  { title: 'Exit', run: null },
]

/** The items that a node has, in the order of their numbers, from 1. */
export function menuOf(facts: NodeFacts): readonly MenuItem[] {
  return ITEMS.filter(({ isFor }) => isFor?.(facts) ?? true)
}

async function requestTokens(session: Session): Promise<void> {
  await send(session, { path: '/requestTokens', what: 'asks the faucet of the test network for LPT' })
}

async function tellFaucet(session: Session): Promise<void> {
  session.write(`Ask the faucet of the test network for ether, for ${await accountOf(session)}\n`)
  await session.ask.line({ text: 'Press enter to go on' })
}
