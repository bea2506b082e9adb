import { z } from 'zod'
import { plain } from '../status/answer.ts'
import { accountOf, priceOf, takes } from './actions.ts'
import type { ReadCommand } from './command-line.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'
import { findNode } from './find-node.ts'

const text = z.string().transform((given) => plain(given))
const gatewayPrice = z.object({ gateway: text, weiPerPixel: text })
const statusSchema = z.object({
  roles: z.array(text).max(20),
  price: z.object({ base: text.nullable(), perGateway: z.array(gatewayPrice).max(10_000) }).optional(),
})
const termsSchema = z.object({ MaxPrice: text.nullable() })

/** Shows what an orchestrator asks, or the most that a gateway pays. Returns the exit code. */
export async function showPrice(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  takes(line)
  const { name, reading } = await findNode(line, null, env, signal)
  const { price, roles } = await reading.read('/status', statusSchema, signal)
  if (!price && !roles.includes('gateway')) throw new Error(`${name} neither asks for a price nor pays one`)
  if (price) {
    const lines = [
      `all gateways: ${price.base === null ? 'not known: its currency has no rate' : `${price.base} wei per pixel`}`,
      ...price.perGateway.map(({ gateway, weiPerPixel }) => `${gateway}: ${weiPerPixel} wei per pixel`),
    ]
    env.write(
      line.options.json === true ? `${JSON.stringify({ asks: price }, null, 2)}\n` : `${lines.join('\n')}\n`,
    )
    return 0
  }
  const { MaxPrice } = await reading.read('/getBroadcastConfig', termsSchema, signal)
  const shown = MaxPrice === null ? 'no limit' : `at most ${MaxPrice} wei per pixel`
  env.write(
    line.options.json === true ? `${JSON.stringify({ paysAtMost: MaxPrice }, null, 2)}\n` : `${shown}\n`,
  )
  return 0
}

/** Sets what an orchestrator asks, or the most that a gateway pays. Returns the exit code. */
export async function setPrice(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  const [given] = takes(line, 'PRICE')
  const price = given === 'none' ? null : priceOf(line, given)
  const gateway = accountOf(line, 'gateway')
  const persist: Record<string, string> = line.options.persist === true ? { persist: 'true' } : {}
  const { name, reading, sending } = await findNode(line, null, env, signal)
  const { roles } = await reading.read('/status', statusSchema, signal)
  if (roles.includes('orchestrator')) {
    if (price === null) throw new UsageError('none is for gateways: an orchestrator asks 0wei or more')
    const values = { ...price, broadcasterEthAddr: gateway ?? 'default', ...persist }
    await sending.send('/setPriceForBroadcaster', values, signal)
  } else if (roles.includes('gateway')) {
    if (gateway !== null) throw new UsageError('--gateway is for orchestrators')
    const { pixelsPerUnit = '1', pricePerUnit = '0', ...currency } = price ?? {}
    if (price !== null && pricePerUnit === '0') {
      throw new UsageError('0 would be no limit: write none, or a price above 0')
    }
    const values = { maxPricePerUnit: pricePerUnit, pixelsPerUnit, ...currency, ...persist }
    await sending.send('/setBroadcastConfig', values, signal)
  } else throw new Error(`${name} neither asks for a price nor pays one`)
  const told = `${given} per ${price?.pixelsPerUnit ?? '1'} pixels is in force`
  env.write(
    line.options.json === true
      ? `${JSON.stringify({ price: given, isPersisted: 'persist' in persist })}\n`
      : `${told}\n`,
  )
  return 0
}
