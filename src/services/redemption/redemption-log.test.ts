import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChainUpdate, CONFIRMATIONS } from '../../domain/chain.ts'
import { RedemptionLog } from './redemption-log.ts'

const SENDER = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
const RECIPIENT = '0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF'
const parties = { sender: SENDER, recipient: RECIPIENT } as const
const head = { number: 9n, hash: '0x09', parentHash: '0x08', l1Block: 9n, timestamp: 0n } as const
type Event = ChainUpdate['events'][number]

const place = (txHash: `0x${string}`) => ({ block: 9n, txHash, logIndex: 0 })
const transfer = (txHash: `0x${string}`, amount: bigint): Event => {
  return { kind: 'winning-ticket-transfer', ...parties, amount, ...place(txHash) }
}
const redeemed = (txHash: `0x${string}`, senderNonce: bigint): Event => {
  const ticket = { senderNonce, recipientRand: 5n, ticketFaceValue: 100n, ticketHash: idOf(senderNonce) }
  return { kind: 'winning-ticket-redeemed', ...parties, ...ticket, ...place(txHash) }
}
const idOf = (senderNonce: bigint | number) => `0xf${senderNonce}` as const

test('each redemption is found with the payment announced before it, also where several share a transaction', () => {
  const log = new RedemptionLog()
  const events = [
    transfer('0x01', 7n),
    redeemed('0x01', 1n),
    redeemed('0x01', 2n),
    transfer('0x01', 8n),
    redeemed('0x01', 3n),
    transfer('0x02', 9n),
  ]
  assert.deepEqual(log.follow({ head, events, reorganised: false }), [])
  assert.deepEqual(
    [1, 2, 3, 4].map((nonce) => log.find(idOf(nonce))?.paid ?? null),
    [7n, 0n, 8n, null],
  )
})

test('a reorganisation forgets what was announced beyond the block where it parted', () => {
  const log = new RedemptionLog()
  const early = { ...redeemed('0x02', 2n), block: 7n }
  log.follow({ head, events: [early, transfer('0x01', 7n), redeemed('0x01', 1n)], reorganised: false })
  log.follow({ head, events: [], reorganised: true, keptTo: 8n })
  assert.deepEqual([log.find(idOf(1)), log.find(idOf(2))?.block], [null, 7n])
  log.follow({ head, events: [], reorganised: true })
  assert.equal(log.find(idOf(2)), null)
})

test('a redemption is told once, when enough blocks have followed its own', () => {
  const log = new RedemptionLog()
  const at = (number: bigint, events: Event[] = []) =>
    log.follow({ head: { ...head, number }, events, reorganised: false })
  assert.deepEqual(at(9n, [redeemed('0x01', 1n)]), [])
  assert.deepEqual(at(9n + CONFIRMATIONS - 1n), [])
  assert.deepEqual(at(9n + CONFIRMATIONS), [idOf(1)])
  assert.deepEqual(at(100n), [])
})
