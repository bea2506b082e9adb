import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ticketParams } from '../../../test/fakes/gateway.ts'
import { Rational } from '../../lib/rational.ts'
import { TicketPayment } from './ticket-payment.ts'

const ORCHESTRATOR = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

for (const [reported, change] of [
  [3n, 9n],
  [8n, 4n],
  [108n, -96n],
] as const) {
  test(`of 5 wei of credit and 7 in tickets, ${reported} pixels at 1 wei leave ${change}`, () => {
    let credit = Rational.zero
    const params = ticketParams(ORCHESTRATOR)
    const payment = new TicketPayment(
      {
        ticketParams: params,
        sender: ORCHESTRATOR,
        expirationParams: null,
        tickets: [],
        expectedPrice: null,
      },
      {
        ...{ params, price: Rational.one, balance: 'session', paid: Rational.of(7n) },
        outlay: { tickets: 1, taken: Rational.of(5n), held: Rational.of(12n), surplus: Rational.zero },
      },
      {
        doubts: { areThere: () => false, add: () => {}, concede: () => {} },
        credit: (change) => {
          credit = credit.add(change)
        },
        ...{ settle: () => {}, spent: () => {} },
      },
    )
    payment.answered()
    payment.completed(reported)
    assert.equal(credit.toString(), `${change}`)
  })
}
