import { z } from 'zod'
import { exactEther, exactTokens } from '../../lib/amounts.ts'
import { Rational } from '../../lib/rational.ts'
import { plain } from '../status/answer.ts'
import { takes } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import type { OperateEnvironment } from './environment.ts'
import { findNode } from './find-node.ts'

const MAX_LOCKS = 1_000

const text = z.string().transform((given) => plain(given))
const whole = z
  .union([z.string().regex(/^\d{1,80}$/), z.number().int().nonnegative()])
  .transform((value) => BigInt(value))
const orchestratorSchema = z.object({
  Transcoder: z.object({
    ...{ Address: text, ServiceURI: text, Status: text, Active: z.boolean() },
    ...{ RewardCut: whole, FeeShare: whole, DelegatedStake: whole, LastRewardRound: whole },
    ...{ ActivationRound: whole, DeactivationRound: whole },
  }),
  PriceInfo: text.nullable(),
})
const delegatorSchema = z.object({
  ...{ Address: text, DelegateAddress: text, Status: text },
  ...{ PendingStake: whole, PendingFees: whole, BondedAmount: whole },
})
const locksSchema = z.array(z.object({ ID: whole, Amount: whole, WithdrawRound: whole })).max(MAX_LOCKS)

/** Shows what the chain has of a node's orchestrator and of its account. Returns the exit code. */
export async function showOrchestrator(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  takes(line)
  const { reading } = await findNode(line, 'orchestrator', env, signal)
  const read = <T>(path: string, schema: z.ZodType<T>) => reading.read(path, schema, signal)
  const [{ PriceInfo, Transcoder }, delegator, locks, round, lptu, wei] = await Promise.all([
    read('/orchestratorInfo', orchestratorSchema),
    read('/delegatorInfo', delegatorSchema),
    read('/unbondingLocks', locksSchema),
    read('/currentRound', whole),
    read('/tokenBalance', whole),
    read('/ethBalance', whole),
  ])
  if (line.options.json === true) {
    const all = {
      ...{ round, orchestrator: { ...Transcoder, price: PriceInfo }, account: delegator },
      ...{ locks, balances: { lptu, wei } },
    }
    env.write(
      `${JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`,
    )
    return 0
  }
  const { Active, Address, DelegatedStake, FeeShare, LastRewardRound, RewardCut, ServiceURI, Status } =
    Transcoder
  const lines: readonly (readonly [string, string])[] = [
    ['round', round.toString()],
    ['orchestrator', `${Address}: ${Status.toLowerCase()}, ${Active ? 'active' : 'not active'}`],
    ['address', ServiceURI === '' ? 'none' : ServiceURI],
    ['stake', exactTokens(DelegatedStake)],
    ['cuts', `keeps ${percentOf(RewardCut)} of its rewards and ${percentOf(MILLION - FeeShare)} of its fees`],
    ['last reward', LastRewardRound === 0n ? 'none' : `in round ${LastRewardRound}`],
    ['price', PriceInfo === null ? 'this node asks for none' : `${PriceInfo} wei per pixel`],
    ['account', `${delegator.Address}: ${exactEther(wei)}, ${exactTokens(lptu)}`],
    [
      'bonded',
      delegator.PendingStake === 0n
        ? 'nothing'
        : `${exactTokens(delegator.PendingStake)} with its rewards, to ${delegator.DelegateAddress}`,
    ],
    ['fees', exactEther(delegator.PendingFees)],
    ...locks.map(({ Amount, ID, WithdrawRound }): [string, string] => {
      const when = WithdrawRound <= round ? 'can be withdrawn' : `from round ${WithdrawRound}`
      return [`lock ${ID}`, `${exactTokens(Amount)}, ${when}`]
    }),
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  env.write(lines.map(([name, says]) => `${name.padEnd(width)}  ${says}\n`).join(''))
  return 0
}

const MILLION = 1_000_000n

function percentOf(parts: bigint): string {
  return `${Rational.of(parts, 10_000n)
    .toFixed(4)
    .replace(/\.?0+$/, '')} %`
}
