import { z } from 'zod'
import { ETH_TYPED, exactAmount } from '../../domain/typed-amount.ts'
import { plain } from '../status/answer.ts'
import { takes } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import type { OperateEnvironment } from './environment.ts'
import { findNode } from './find-node.ts'
import { writeJson } from './output.ts'

const MAX_SENTENCE = 1_000

const text = z.string().transform((given) => plain(given))
const sentence = z.string().transform((given) => plain(given, MAX_SENTENCE))
const wei = z
  .string()
  .regex(/^\d{1,80}$/)
  .transform((given) => BigInt(given))
const checkSchema = z.object({
  orchestrators: z
    .array(
      z.object({
        ...{ url: text, serves: z.boolean(), address: text.nullable() },
        ...{ weiPerPixel: text.nullable(), why: sentence.nullable() },
      }),
    )
    .max(2_000),
  causes: z
    .array(z.object({ code: text, side: text, title: text, says: sentence, change: sentence }))
    .max(100),
  funds: z.object({ depositWei: wei, reserveWei: wei }).nullable(),
})

/** Says which orchestrators would serve a gateway, and what keeps the others from it. Returns the exit code. */
export async function checkGateway(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  takes(line)
  const { reading } = await findNode(line, 'gateway', env, signal)
  const { causes, funds, orchestrators } = await reading.read('/checkOrchestrators', checkSchema, signal)
  const serving = orchestrators.filter(({ serves }) => serves)
  if (line.options.json === true) {
    const all = { serving: serving.length, orchestrators, causes, funds }
    writeJson(env, all)
    return serving.length > 0 ? 0 : 1
  }
  const lines = [
    ...(funds
      ? [
          `deposit ${exactAmount(funds.depositWei, ETH_TYPED)}, reserve ${exactAmount(funds.reserveWei, ETH_TYPED)}`,
        ]
      : []),
    `${serving.length} of ${orchestrators.length} orchestrators would serve this gateway`,
    ...orchestrators.map(({ address, url, weiPerPixel, why }) => {
      if (why !== null) return `  ${url} ${why}`
      return `  ${url} would: ${address}, for ${weiPerPixel === null ? 'nothing' : `${weiPerPixel} wei per pixel`}`
    }),
    ...causes.flatMap(({ change, says }) => ['', says, `  to change: ${change}`]),
  ]
  env.write(`${lines.join('\n')}\n`)
  return serving.length > 0 ? 0 : 1
}
