import { type Address, parseAddress } from '../../lib/crypto.ts'
import { statusAnswer } from './answers.ts'
import { ControlFailure, type NodeControl } from './control.ts'
import type { NodeFacts, Session } from './session.ts'

/** What kind of node answers. Throws ControlFailure. */
export async function readNodeFacts(control: NodeControl): Promise<NodeFacts> {
  const isOrchestrator = (await control.text('/IsOrchestrator')) === 'true'
  const isRedeemer = (await control.text('/IsRedeemer')) === 'true'
  const chainId = await control.whole('/EthChainID')
  const { roles = [] } = await control.json('/status', statusAnswer)
  const serves = ['orchestrator', 'redeemer', 'gateway', 'transcoder'].some((role) => roles.includes(role))
  const isRewardService = !isOrchestrator && !isRedeemer && !serves && roles.includes('reward')
  return { isOrchestrator, isRedeemer, isRewardService, chainId }
}

/** The account of the node. Throws ControlFailure. */
export async function accountOf({ control }: Pick<Session, 'control'>): Promise<Address> {
  const text = await control.text('/ethAddr')
  try {
    return parseAddress(text)
  } catch (error) {
    throw new ControlFailure('stranger', 'the answer to /ethAddr is not that of a Livepeer node', {
      cause: error,
    })
  }
}
