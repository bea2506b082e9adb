import { release } from '../devnet/leash.ts'
import type { Postgres } from '../devnet/postgres.ts'
import { systemDice } from '../src/lib/dice.ts'
import { startProcess } from '../test/chain/cluster-process.ts'
import { accountNamed } from '../test/chain/clustered.ts'
import { startChain } from '../test/chain/fixture.ts'
import { registerRecipient } from '../test/chain/redeeming.ts'

const ETHER = 10n ** 18n
const ACCOUNT = 'redeemers of the bench'
const BLOCK_S = 1
const LEADS = '"lease":"redeem"'
/** The killed one had led for a random part of this, since it renews its lease every 2 s. */
const LED_MS = 4_000

/**
 * Kills (-9) the leading one of two redeemer processes, several times; gives the milliseconds until the other one
 * leads.
 */
export async function killLeaders(postgres: Postgres, times: number): Promise<number[]> {
  await using chain = await startChain({ parameters: { roundLength: 1_000n } })
  await registerRecipient(chain)
  await chain.anvil.setBalance(accountNamed(ACCOUNT).address, 100n * ETHER)
  await chain.anvil.mineEvery(BLOCK_S)
  const { anvil, client } = chain
  const common = {
    ...{ account: ACCOUNT, storeUrl: await postgres.newDatabase() },
    chain: { url: anvil.url, chainId: anvil.chainId, addresses: client.addresses },
  }
  let leader = startProcess({ ...common, node: 'redeemer 0' })
  const all = [leader]
  try {
    await leader.until(LEADS)
    const tookMs: number[] = []
    for (let i = 1; i <= times; i++) {
      const next = startProcess({ ...common, node: `redeemer ${i}` })
      all.push(next)
      await next.until('ready')
      await new Promise((resolve) => setTimeout(resolve, LED_MS * (0.5 + systemDice.fraction() / 2)))
      const killedAt = performance.now()
      leader.child.kill('SIGKILL')
      await next.until(LEADS)
      tookMs.push(performance.now() - killedAt)
      leader = next
    }
    return tookMs
  } finally {
    for (const each of all) await release(each.child)
  }
}
