import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { Network } from '../../devnet/network.ts'
import { runTickets } from '../../src/commands/tickets/command.ts'
import { dayOf } from '../../src/domain/money.ts'
import { expectedValue } from '../../src/domain/ticket.ts'
import { Rational } from '../../src/lib/rational.ts'
import type { MoneyFigures } from '../../src/node/status/money.ts'
import type { OrchestratorStatus } from '../../src/node/status/status.ts'
import { until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** Real processes and a real chain: what the status says was earned is what the chain paid, to the wei. */

const STREAMS = 2
const SEGMENTS = 10
/** What the devnet gives each account that pays for gas. */
const GAS_MONEY = 100n * 10n ** 18n
/** More blocks than params are valid for, and enough more to confirm a redemption. */
const PARAMS_LIFETIME = 45
const CONFIRMED = 14

test('the money of a day is what chain and store show, to the wei, after kill -9 and a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-money-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const dataDir = join(folder, 'data')
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  await using network = await Network.prepare({
    roundLength: 1_000n,
    orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
    gatewayFlags: ['-transcodingOptions', profiles],
    dataDirs: { orchestrator: dataDir },
    logFolder: join(folder, 'logs'),
  })
  const { anvil, orchestrator, protocol } = network
  const started = Date.now()
  await orchestrator.start()
  await network.gateway.start()
  {
    await using load = await TinyLoad.start(network.urls.gateway, STREAMS, {
      pauseMs: 100,
      durationMs: 4_000,
    })
    const served = (count: number) =>
      until(async () => (load.served >= count ? true : null), `${count} segments`)
    await served(SEGMENTS / 2)
    await orchestrator.kill()
    await orchestrator.start()
    await served(SEGMENTS)
  }
  await anvil.mine(PARAMS_LIFETIME)
  const status = () => orchestrator.status<OrchestratorStatus & { money: Sent<MoneyFigures> }>()
  const { won } = (await status()).tickets
  assert.ok(won >= SEGMENTS / 2, `${won} tickets won`)
  await until(async () => ((await protocol.redemptions()).distinct === won ? true : null), 'the redemptions')
  await anvil.mine(CONFIRMED)
  const atRest = await until(async () => {
    const seen = await status()
    return seen.tickets.redeemed === won ? seen : null
  }, 'their confirmation')
  await orchestrator.stop()
  const stored = readStore(join(dataDir, 'livepeer-ts.sqlite3'))
  await orchestrator.start()
  const { money, tickets } = await until(async () => {
    const seen = await status()
    return seen.money.round === null ? null : seen
  }, 'the round')

  const { ever } = money
  const { netWei: _, ...amounts } = ever
  const chain = await protocol.redemptions()
  const balance = BigInt(
    await anvil.request<string>('eth_getBalance', [network.accounts.orchestrator, 'latest']),
  )
  const spent = GAS_MONEY - balance
  assert.deepEqual(
    [BigInt(ever.redeemedWei), BigInt(ever.redeemGasWei)],
    [chain.paid, chain.fees],
    'what was redeemed and its gas are those of the chain',
  )
  const gas = BigInt(ever.redeemGasWei) + BigInt(ever.rewardGasWei) + BigInt(ever.otherGasWei)
  assert.equal(gas, spent, 'all gas is what the account spent')
  assert.ok(BigInt(ever.rewardGasWei) > 0n, 'the reward of the round was called')
  assert.equal(BigInt(ever.netWei), chain.paid - spent)
  assert.deepEqual(
    { received: BigInt(ever.receivedWei), won: BigInt(ever.wonWei), redeemed: BigInt(ever.redeemedWei) },
    stored,
    'and those of the store',
  )
  assert.deepEqual(
    { tickets: tickets.received >= tickets.won, won: tickets.won },
    { tickets: true, won: chain.distinct },
  )
  assert.deepEqual(ever, { ...atRest.money.ever, ...amounts }, 'a restart changes nothing')

  const ask = async (...argv: string[]) => {
    let out = ''
    const write = (text: string) => {
      out += text
    }
    const env = {
      argv: [...argv, '--json', '--node', orchestrator.command.control],
      variables: {},
      readText: () => null,
    }
    const code = await runTickets({ ...env, write, writeError: write, now: () => Date.now() }, t.signal)
    assert.equal(code, 0, out)
    return JSON.parse(out)
  }
  const lines: { sender: string; wonWei: string; feesWei: string; redeemGasWei: string }[] =
    await ask('export')
  assert.deepEqual([...new Set(lines.map(({ sender }) => sender))], [network.accounts.gateway])
  const sum = (of: 'wonWei' | 'feesWei' | 'redeemGasWei') =>
    lines.reduce((total, line) => total + BigInt(line[of]), 0n)
  assert.deepEqual(
    [sum('wonWei'), sum('feesWei'), sum('redeemGasWei')],
    [stored.won, chain.paid, chain.fees],
    'the book by gateway is that of the chain too',
  )
  const [newest] = await ask('list', '--state', 'redeemed', '--limit', '1')
  const { sessionId, story, transactions } = await ask('show', newest.ticket)
  assert.deepEqual(
    [story[0].step, story.at(-1).step, typeof sessionId, transactions.at(-1).state],
    ['received', 'redeemed', 'string', 'mined'],
  )
  assert.ok(transactions.at(-1).txHashes.includes(newest.txHash))
  if (dayOf(started) === dayOf(Date.now())) {
    assert.deepEqual([money.today, money.thisRound, money.thisWeek], [ever, ever, ever])
  }
})

/** As JSON has it. */
type Sent<T> = T extends bigint ? string : T extends object ? { readonly [K in keyof T]: Sent<T[K]> } : T

/** The same amounts, from the tickets themselves. */
function readStore(path: string): { received: bigint; won: bigint; redeemed: bigint } {
  const file = new DatabaseSync(path, { readOnly: true })
  const rows = file.prepare('select face_value, win_prob, paid from tickets').all()
  const { credited } = file.prepare('select count(*) as credited from nonces').get() as { credited: number }
  file.close()
  const sum = (of: 'face_value' | 'paid') => rows.reduce((sum, row) => sum + BigInt(String(row[of])), 0n)
  const [{ face_value: faceValue, win_prob: winProb } = {}] = rows
  // All tickets are alike, and each nonce is that of a ticket that was credited.
  const ev = expectedValue(BigInt(String(faceValue)), BigInt(String(winProb)))
  return {
    received: ev.mul(Rational.of(BigInt(credited))).floor(),
    won: sum('face_value'),
    redeemed: sum('paid'),
  }
}
