import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { devnetKeyBytes } from '../../devnet/artifacts.ts'
import { Network } from '../../devnet/network.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { ChainClient, resolveContracts } from '../../src/io/chain/client.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/lib/log.ts'
import type { RedeemerStatus } from '../../src/node/status/status.ts'
import { goRow, writeGoDatabase } from '../tools/go-database.ts'
import { until } from '../tools/until.ts'

const TICKETS = 5
const FACE_VALUE = 10n ** 16n

test('a redeemer imports the open tickets of a Go redeemer once, and leaves its database unchanged', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-take-over-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const queue = join(folder, 'lpdb.sqlite3')
  await using network = await Network.prepare({
    setup: 'redeemer',
    roundLength: 1_000n,
    redeemerFlags: ['-importTicketQueue', queue],
    logFolder: join(folder, 'logs'),
  })
  const { anvil, protocol } = network
  const rpc = new Rpc({ urls: [anvil.url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
  const addresses = await resolveContracts(rpc, protocol.addresses.controller)
  const { blockHash, lastInitialized } = await new ChainClient({ rpc, addresses }).roundState()
  const sender = walletOfKey(devnetKeyBytes('gateway'))
  const win = async (_: unknown, senderNonce: number): Promise<WinningTicket> => {
    const recipientRand = 7n
    const ticket = {
      ...{ recipient: network.accounts.orchestrator, sender: sender.address, faceValue: FACE_VALUE },
      ...{ winProb: MAX_WIN_PROB, senderNonce, recipientRand, recipientRandHash: recipientRandHash(7n) },
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
      paramsExpirationBlock: 1n,
    }
    return { ...ticket, sig: await sender.sign(ticketHash(ticket)) }
  }
  const tickets = await Promise.all(Array.from({ length: TICKETS }, win))
  const done = goRow(
    { ...tickets[0]!, sig: new Uint8Array(65).fill(1) },
    { redeemedAt: '2026-01-02', txHash: '0x01' },
  )
  writeGoDatabase(queue, [...tickets.map((ticket) => goRow(ticket)), done])
  const before = await readFile(queue)

  const redeemer = network.of('redeemer')[0]!.process
  await redeemer.start()
  const redeemed = () =>
    until(async () => {
      const { tickets: seen } = await redeemer.status<RedeemerStatus>()
      return seen.redeemed === TICKETS ? seen : null
    }, 'every ticket redeemed')
  assert.equal((await redeemed()).won, TICKETS)
  await redeemer.stop()
  await redeemer.start()
  assert.equal((await redeemed()).won, TICKETS, 'and again none is added')
  const { distinct, paid, redeemed: count } = await protocol.redemptions()
  assert.deepEqual({ count, distinct, paid }, { count: TICKETS, distinct: TICKETS, paid: 5n * FACE_VALUE })
  assert.deepEqual(await readFile(queue), before)
})
