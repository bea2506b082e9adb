import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { devnetKeyBytes } from '../../devnet/artifacts.ts'
import { freePort } from '../../devnet/free-port.ts'
import { writeKeystore } from '../../devnet/funded-chain.ts'
import { Network } from '../../devnet/network.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { LOOPBACK } from '../../devnet/tcp-link.ts'
import { MAX_WIN_PROB, recipientRandHash, ticketHash, type WinningTicket } from '../../src/domain/ticket.ts'
import { ChainClient, resolveContracts } from '../../src/io/chain/client.ts'
import { Rpc } from '../../src/io/chain/rpc.ts'
import { walletOfKey } from '../../src/io/chain/wallet.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { addressOfKey } from '../../src/lib/crypto.ts'
import { silentLog } from '../../src/lib/log.ts'
import type { RedeemerStatus } from '../../src/node/status/status.ts'
import { goRow, writeGoDatabase } from '../tools/go-database.ts'
import { until } from '../tools/until.ts'

const TICKETS = 3
const AFTER_MS = 10_000
const FACE_VALUE = 10n ** 16n
const ETHER = 10n ** 18n
const WATCHTOWER = 'watchtower'

/** Winning tickets for the registered orchestrator, in a Go node’s queue. */
async function writeQueue(path: string, network: Network, rand: bigint): Promise<void> {
  const { anvil, protocol } = network
  const rpc = new Rpc({ urls: [anvil.url], chainId: anvil.chainId }, { clock: systemClock, log: silentLog })
  const addresses = await resolveContracts(rpc, protocol.addresses.controller)
  const { blockHash, lastInitialized } = await new ChainClient({ rpc, addresses }).roundState()
  const sender = walletOfKey(devnetKeyBytes('gateway'))
  const win = async (_: unknown, senderNonce: number): Promise<WinningTicket> => {
    const ticket = {
      ...{ recipient: network.accounts.orchestrator, sender: sender.address, faceValue: FACE_VALUE },
      ...{
        winProb: MAX_WIN_PROB,
        senderNonce,
        recipientRand: rand,
        recipientRandHash: recipientRandHash(rand),
      },
      expirationParams: { creationRound: lastInitialized, creationRoundBlockHash: blockHash },
      paramsExpirationBlock: 1n,
    }
    return { ...ticket, sig: await sender.sign(ticketHash(ticket)) }
  }
  const tickets = await Promise.all(Array.from({ length: TICKETS }, win))
  writeGoDatabase(
    path,
    tickets.map((ticket) => goRow(ticket)),
  )
}

/** The same command with other values of some flags. */
function changed(flags: readonly string[], values: Readonly<Record<string, string>>): string[] {
  return flags.map((word, index) => values[flags[index - 1] ?? ''] ?? word)
}

test('a watchtower with a key of its own redeems what the redeemer of its cluster leaves for so long, and nothing else', {
  timeout: 180_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-watchtower-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const queue = join(folder, 'lpdb.sqlite3')
  await using network = await Network.prepare({
    ...{ setup: 'cluster', clustered: 1, roundLength: 1_000n },
    logFolder: join(folder, 'logs'),
  })
  const { anvil, protocol } = network
  const [{ account, process: primary }] = network.of('redeemer') as [(typeof network.nodes)[number]]
  const importing = new NodeProcess({
    ...primary.command,
    flags: [...primary.command.flags, '-importTicketQueue', queue],
  })
  const own = addressOfKey(devnetKeyBytes(WATCHTOWER))
  const keystore = join(folder, 'keystore')
  await writeKeystore(keystore, [WATCHTOWER])
  const control = `${LOOPBACK}:${await freePort()}`
  const flags = changed(primary.command.flags, {
    ...{ '-ethAcctAddr': own, '-ethKeystorePath': keystore, '-dataDir': join(folder, WATCHTOWER) },
    ...{ '-httpAddr': `${LOOPBACK}:${await freePort()}`, '-cliAddr': control },
  })
  const redeemAfter = ['-redeemAfter', `${AFTER_MS / 1_000}s`]
  const watchtower = new NodeProcess({ name: WATCHTOWER, flags: [...flags, ...redeemAfter], control })
  t.after(() => Promise.all([importing.stop(), watchtower.stop()]))
  await anvil.setBalance(own, ETHER)
  // The primary cannot pay for a transaction.
  await anvil.setBalance(account!, 0n)
  await writeQueue(queue, network, 7n)
  await watchtower.start()
  const startMs = performance.now()
  await importing.start()
  const redeemed = (count: number) =>
    until(async () => {
      const { distinct } = await protocol.redemptions()
      return distinct >= count ? protocol.redemptions() : null
    }, `${count} tickets redeemed`)
  const left = await redeemed(TICKETS)
  assert.ok(performance.now() - startMs >= AFTER_MS, 'it has waited')
  assert.deepEqual([...left.redeemers], [own])

  await importing.stop()
  await anvil.setBalance(account!, ETHER)
  await rm(queue)
  await writeQueue(queue, network, 8n)
  await importing.start()
  const all = await redeemed(2 * TICKETS)
  assert.deepEqual([...all.redeemers].sort(), [account!, own].sort())
  const nonce = await anvil.request('eth_getTransactionCount', [own, 'latest'])
  await anvil.mine(12)
  await until(async () => {
    const { tickets } = await watchtower.status<RedeemerStatus>()
    return tickets.redeemed === 2 * TICKETS && tickets.open + tickets.submitted === 0 ? true : null
  }, 'the end of all tickets')
  assert.equal(await anvil.request('eth_getTransactionCount', [own, 'latest']), nonce, 'it sent nothing more')
  const { distinct, paid, redeemed: count } = await protocol.redemptions()
  const every = 2 * TICKETS
  assert.deepEqual(
    { count, distinct, paid },
    { count: every, distinct: every, paid: BigInt(every) * FACE_VALUE },
  )
})
