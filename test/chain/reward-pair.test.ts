import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { release } from '../../devnet/leash.ts'
import { Postgres } from '../../devnet/postgres.ts'
import { Store } from '../../src/io/store/store.ts'
import { memoryFolder } from '../tools/memory-folder.ts'
import { eventually } from '../tools/until.ts'
import { type ClusterProcess, startProcess } from './cluster-process.ts'
import { accountNamed } from './clustered.ts'
import { type ChainFixture, startChain } from './fixture.ts'
import { RECIPIENT, registerRecipient, transactionsOf } from './redeeming.ts'

const ROUND = 300n
const BLOCK_MS = 200
const PATIENCE_MS = 90_000

let chain: ChainFixture
let postgres: Postgres

before(async () => {
  postgres = await Postgres.start({ within: memoryFolder() })
  chain = await startChain({ parameters: { roundLength: ROUND } })
  await registerRecipient(chain)
  await chain.anvil.mineOnDemand()
})
after(async () => {
  await postgres.stop()
  await chain[Symbol.asyncDispose]()
})

test('two processes that initialise rounds and call reward send one transaction of each in a round, in whichever order they die', async (t) => {
  const { anvil, client, protocol } = chain
  const storeUrl = await postgres.newDatabase()
  const common = {
    ...{ account: RECIPIENT, storeUrl, rewards: true },
    chain: { url: anvil.url, chainId: anvil.chainId, addresses: client.addresses },
  }
  const { address } = accountNamed(RECIPIENT)
  const start = async (node: string) => {
    const process = startProcess({ ...common, node })
    t.after(() => release(process.child))
    await process.until('ready')
    return process
  }
  let leader = await start('first')
  // The round in which the recipient became active.
  await leader.until('transaction sent')
  await anvil.mine()
  await leader.until('ticket reward')
  const since = (await protocol.blockNumber()) + 1n
  let other = await start('second')
  const rounds = 4
  for (let round = 1; round <= rounds; round++) {
    const sent = leader.said('transaction sent').length
    await protocol.mineTo((await protocol.roundStart()) + ROUND)
    // It dies while its initialisation, or its reward call, is under way; or both live.
    if (round <= 3) await leader.until('transaction sent', { more: sent + 1 })
    if (round === 2) {
      await anvil.mine()
      await leader.until('transaction sent', { more: sent + 2 })
    }
    if (round <= 2) {
      await release(leader.child)
      await other.until('"lease":"send/')
      const next: ClusterProcess = await start(`next ${round}`)
      ;[leader, other] = [other, next]
    }
    await eventually(
      `the reward of round ${round}`,
      async () => {
        await anvil.mine()
        await sleep(BLOCK_MS)
        const { rewards } = await protocol.roundsSince(since)
        return rewards >= round
      },
      PATIENCE_MS,
    )
    // Time for one too many.
    for (let block = 0; block < 10; block++) {
      await anvil.mine()
      await sleep(BLOCK_MS)
    }
  }
  assert.deepEqual(await protocol.roundsSince(since), { rounds, rewards: rounds })
  const all = await transactionsOf(chain, address, since)
  assert.deepEqual([all.count, all.failed], [2 * rounds, 0])
  const store = new Store({ location: storeUrl })
  await store.open()
  assert.deepEqual(await store.openTransactions(address), [])
  await store.close()
})
