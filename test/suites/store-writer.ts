/** Writes payments into a store until it is killed, and prints each nonce once its payment is acknowledged. */
import { writeSync } from 'node:fs'
import { Store } from '../../src/io/store/store.ts'
import { Rational } from '../../src/lib/rational.ts'
import { paymentRecord, wonTicket } from './store.ts'

const [location, from] = process.argv.slice(2) as [string, string]
const WRITERS = 3
const store = new Store({ location, sqliteSync: 'thread' })
await store.open()
let next = Number(from)

async function write(): Promise<never> {
  for (;;) {
    const nonce = next++
    const winners = [wonTicket(nonce)]
    await store.recordPayment(paymentRecord({ nonces: [nonce], credit: Rational.one, winners }))
    writeSync(1, `${nonce}\n`)
  }
}

await Promise.all(Array.from({ length: WRITERS }, write))
