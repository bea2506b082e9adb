import { z } from 'zod'
import { ETH_TYPED, exactAmount, LPT_TYPED } from '../../domain/typed-amount.ts'
import { Rational } from '../../lib/rational.ts'
import { plain } from '../status/answer.ts'
import { takes } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import type { OperateEnvironment } from './environment.ts'
import { findNode } from './find-node.ts'
import { writeJson } from './output.ts'

const MAX_LOCKS = 1_000
const MILLION = 1_000_000n

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
const accountSchema = z.object({
  ...{ address: text, round: whole, lptu: whole, wei: whole, status: text },
  ...{ bondedTo: text.nullable(), stakeLptu: whole, feesWei: whole },
  locks: z.array(z.object({ id: whole, lptu: whole, withdrawRound: whole })).max(MAX_LOCKS),
})
type Account = z.output<typeof accountSchema>
type Line = readonly [name: string, says: string]

/**
 * Shows what the chain has of a node's orchestrator and of its account; where the orchestrator has another account, of both.
 * Returns the exit code.
 */
export async function showOrchestrator(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  takes(line)
  const { reading } = await findNode(line, 'orchestrator', env, signal)
  const [{ PriceInfo, Transcoder }, account] = await Promise.all([
    reading.read('/orchestratorInfo', orchestratorSchema, signal),
    reading.read('/accountInfo', accountSchema, signal),
  ])
  const isOther = Transcoder.Address.toLowerCase() !== account.address.toLowerCase()
  const path = `/accountInfo?address=${encodeURIComponent(Transcoder.Address)}`
  const registered = isOther ? await reading.read(path, accountSchema, signal) : account
  if (line.options.json === true) {
    const all = { orchestrator: { ...Transcoder, price: PriceInfo }, registered, account }
    writeJson(env, all)
    return 0
  }
  const { Active, DelegatedStake, FeeShare, LastRewardRound, RewardCut, ServiceURI, Status } = Transcoder
  const kept = `keeps ${percentOf(RewardCut)} of its rewards and ${percentOf(MILLION - FeeShare)} of its fees`
  const lines: readonly Line[] = [
    ['round', account.round.toString()],
    ['orchestrator', `${registered.address}: ${Status.toLowerCase()}, ${Active ? 'active' : 'not active'}`],
    ['service address', ServiceURI === '' ? 'none' : ServiceURI],
    ['stake', `${exactAmount(DelegatedStake, LPT_TYPED)}, of all who bonded to it`],
    ['cuts', kept],
    ['last reward', LastRewardRound === 0n ? 'none' : `in round ${LastRewardRound}`],
    ['price', PriceInfo === null ? 'this node asks for none' : `${PriceInfo} wei per pixel`],
    ...linesOf(registered),
    ...(isOther ? [['node’s account', account.address] as const, ...linesOf(account)] : []),
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  env.write(lines.map(([name, says]) => `${name.padEnd(width)}  ${says}\n`).join(''))
  return 0
}

function linesOf({ bondedTo, feesWei, locks, lptu, round, stakeLptu, wei }: Account): Line[] {
  return [
    ['balance', `${exactAmount(wei, ETH_TYPED)}, ${exactAmount(lptu, LPT_TYPED)}`],
    [
      'bonded',
      bondedTo === null ? 'nothing' : `${exactAmount(stakeLptu, LPT_TYPED)} with its rewards, to ${bondedTo}`,
    ],
    ['fees', exactAmount(feesWei, ETH_TYPED)],
    ...locks.map(({ id, lptu: amount, withdrawRound }): Line => {
      const when = withdrawRound <= round ? 'can be withdrawn' : `from round ${withdrawRound}`
      return [`lock ${id}`, `${exactAmount(amount, LPT_TYPED)}, ${when}`]
    }),
  ]
}

function percentOf(parts: bigint): string {
  return `${Rational.of(parts, 10_000n)
    .toFixed(4)
    .replace(/\.?0+$/, '')} %`
}
