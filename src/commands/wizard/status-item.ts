import {
  broadcastAnswer,
  contractsAnswer,
  delegatorAnswer,
  orchestratorAnswer,
  protocolAnswer,
  senderAnswer,
  statusAnswer,
} from './answers.ts'
import { accountOf } from './node-facts.ts'
import type { Session } from './session.ts'
import { type Fact, factTable, titleBox } from './tables.ts'
import { etherWords, gasPriceWords, lpt, percentWords, priceWords, shareWords } from './words.ts'

const REFERENCE = 'FOR REFERENCE - DO NOT SEND TOKENS'
const BILLION = 1_000_000_000n

/** Whether the menu is that of an orchestrator, rather than of a gateway (operations.md §5). */
export function isForOrchestrators({
  isOrchestrator,
  isRedeemer,
  isRewardService,
}: Session['facts']): boolean {
  return isOrchestrator || isRedeemer || isRewardService
}

/** Get node status. Throws ControlFailure. */
export async function showStatus(session: Session): Promise<void> {
  const { control, facts, port, write } = session
  const status = await control.json('/status', statusAnswer)
  const node: Fact[] = [
    ["Node's version", status.Version],
    ["Node's GO runtime version", status.GolangRuntimeVersion],
    ["Node's architecture", status.GOArch],
    ["Node's operating system", status.GOOS],
    ['HTTP Port', String(port)],
  ]
  if (facts.chainId === 0n) {
    write(
      `${titleBox('NODE STATS')}${factTable([...node, ['Network', 'offchain: no account and no payments']])}`,
    )
    return
  }
  const contracts = await control.json('/contractAddresses', contractsAnswer)
  const named = (name: string): Fact[] =>
    contracts[name] === undefined ? [] : [[`${name} Address\n${REFERENCE}`, contracts[name]]]
  const balances = [await control.whole('/tokenBalance'), await control.whole('/ethBalance')] as const
  const max = await control.text('/maxGasPrice')
  const min = await control.whole('/minGasPrice')
  const account = await accountOf(session)
  const isForX = isForOrchestrators(facts)
  const { PriceInfo, Transcoder: registered } = isForX
    ? await control.json('/orchestratorInfo', orchestratorAnswer)
    : { PriceInfo: null, Transcoder: null }
  const works: Fact[] =
    registered && registered.Address !== account
      ? [['Orchestrator (registered)\nTHIS NODE WORKS FOR IT', registered.Address]]
      : []
  write(
    `${titleBox('NODE STATS')}${factTable([
      ...node,
      ...['Controller', 'LivepeerToken', 'LivepeerTokenFaucet'].flatMap(named),
      ...works,
      [`${isForX ? 'Orchestrator' : 'Broadcaster'} Account\nYOUR WALLET FOR ETH & LPT`, account],
      ['LPT Balance', lpt(balances[0])],
      ['ETH Balance', etherWords(balances[1])],
      ['Max Gas Price', /^\d+$/.test(max) ? gasPriceWords(BigInt(max)) : 'n/a'],
      ['Min Gas Price', gasPriceWords(min)],
    ])}`,
  )
  if (registered) {
    write(
      `${titleBox('ORCHESTRATOR STATS')}${factTable([
        ['Address', registered.Address],
        ['Status', registered.Status],
        ['Active', String(registered.Active)],
        ['Service URI', registered.ServiceURI],
        ['Delegated Stake', lpt(registered.DelegatedStake)],
        ['Reward Cut (%)', percentWords(registered.RewardCut)],
        ['Fee Cut (%)', percentWords(1_000_000n - registered.FeeShare)],
        ['Last Reward Round', String(registered.LastRewardRound)],
        ['Base price per pixel', priceWords(PriceInfo)],
        ...pricesOf(status.BroadcasterPrices),
      ])}`,
    )
  } else await showGateway(session)
  const delegator = await control.json('/delegatorInfo', delegatorAnswer)
  write(
    `${titleBox('DELEGATOR STATS')}${factTable([
      ['Status', delegator.Status],
      ['Stake', lpt(delegator.BondedAmount)],
      ['Collected Fees', etherWords(delegator.Fees)],
      ['Pending Stake', lpt(delegator.PendingStake)],
      ['Pending Fees', etherWords(delegator.PendingFees)],
      ['Delegated Stake', lpt(delegator.DelegatedAmount)],
      ['Delegate Address', delegator.DelegateAddress],
      ['Last Claim Round', String(delegator.LastClaimRound)],
      ['Start Round', String(delegator.StartRound)],
    ])}`,
  )
  write(`CURRENT ROUND: ${await control.whole('/currentRound')}\n`)
}

function pricesOf(prices: Readonly<Record<string, string>>): Fact[] {
  const single = Object.entries(prices).filter(([gateway]) => gateway !== 'default')
  return single.map(([gateway, price]) => [`Price for ${gateway}`, priceWords(price)])
}

async function showGateway({ control, write }: Session): Promise<void> {
  const { Deposit, Reserve, WithdrawRound } = await control.json('/senderInfo', senderAnswer)
  const { MaxPrice, TranscodingOptions } = await control.json('/getBroadcastConfig', broadcastAnswer)
  write(
    `${titleBox('BROADCASTER STATS')}${factTable([
      ['Max Price Per Pixel', priceWords(MaxPrice) || 'n/a'],
      ['Broadcast Transcoding Options', TranscodingOptions],
      ['Deposit', etherWords(Deposit)],
      ['Reserve', etherWords(Reserve.FundsRemaining)],
      ...(WithdrawRound > 0n ? ([['Withdraw Round', String(WithdrawRound)]] as const) : []),
    ])}`,
  )
}

/** View protocol parameters. Throws ControlFailure. */
export async function showProtocol({ control, write }: Session): Promise<void> {
  const state = await control.json('/protocolParameters', protocolAnswer)
  write(
    `${titleBox('PROTOCOL PARAMETERS')}${factTable([
      ['Protocol Paused', String(state.Paused)],
      ['Max # Active Orchestrators', String(state.NumActiveTranscoders)],
      ['RoundLength (Blocks)', String(state.RoundLength)],
      ['RoundLockAmount (%)', percentWords(state.RoundLockAmount)],
      ['UnbondingPeriod (Rounds)', String(state.UnbondingPeriod)],
      ['Inflation (%)', shareWords(state.Inflation, BILLION)],
      ['InflationChange (%)', shareWords(state.InflationChange, BILLION)],
      ['TargetBondingRate (%)', shareWords(state.TargetBondingRate, BILLION)],
      ['Total Bonded', lpt(state.TotalBonded)],
      ['Total Supply', lpt(state.TotalSupply)],
      ['Current Participation Rate (%)', shareWords(state.TotalBonded, state.TotalSupply)],
    ])}`,
  )
}
