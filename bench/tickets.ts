import secp256k1 from 'secp256k1'
import { type SignedTicket, ticketHash } from '../src/domain/ticket.ts'
import { recipientRand, ticketParamsFor, winProbFor } from '../src/domain/ticket-params.ts'
import { judgeTicket } from '../src/domain/ticket-rules.ts'
import { addressOfKey, personalHash, signHash } from '../src/lib/crypto.ts'
import { seededDice } from '../src/lib/dice.ts'
import { Rational } from '../src/lib/rational.ts'

// How fast one core validates tickets, compared with the part that cannot be avoided: recovering public keys. Both are
// timed in alternating turns of some milliseconds, so that other load affects both.

const TICKETS = 256
const TURNS = 200
const WARM_UP_TURNS = 20

const dice = seededDice('bench/tickets')
const secret = dice.bytes(32)
const recipient = addressOfKey(dice.bytes(32))
const senderKey = dice.bytes(32)
const sender = addressOfKey(senderKey)
const TICKET_EV = 8_000_000_000n
const binding = {
  recipient,
  seed: BigInt(`0x${Buffer.from(dice.bytes(32)).toString('hex')}`),
  sender,
  faceValue: 12_000_000_000_000_000n,
  winProb: winProbFor(TICKET_EV, 12_000_000_000_000_000n),
  expirationBlock: 20_000_040n,
  price: Rational.of(101n, 100n),
  expirationParams: { creationRound: 3500n, creationRoundBlockHash: dice.bytes(32) },
}
const params = ticketParamsFor(secret, binding)

const tickets: SignedTicket[] = Array.from({ length: TICKETS }, (_, i) => {
  const ticket = {
    recipient,
    sender,
    faceValue: params.faceValue,
    winProb: params.winProb,
    senderNonce: i + 1,
    recipientRandHash: params.recipientRandHash,
    expirationParams: params.expirationParams,
    paramsExpirationBlock: params.expirationBlock,
  }
  return { ...ticket, sig: signHash(senderKey, ticketHash(ticket)) }
})
const recoveries = tickets.map((ticket) => ({
  signature: ticket.sig.subarray(0, 64),
  recid: ticket.sig[64]! - 27,
  message: personalHash(ticketHash(ticket)),
}))

/** Everything that a recipient computes for one ticket, including its rand. */
function validateAll(): void {
  const seen = new Set<number>()
  for (const ticket of tickets) {
    const judged = judgeTicket(ticket, {
      recipient,
      recipientRand: recipientRand(secret, {
        recipient,
        seed: binding.seed,
        sender: ticket.sender,
        faceValue: ticket.faceValue,
        winProb: ticket.winProb,
        expirationBlock: ticket.paramsExpirationBlock,
        price: binding.price,
        expirationParams: ticket.expirationParams,
      }),
      terms: { ticketEv: TICKET_EV, maxFaceValue: 0n },
      funds: 10n ** 18n,
      withdrawRound: 0n,
      lastInitializedRound: 3500n,
      l1Block: 20_000_000n,
      nonceSeen: seen.has(ticket.senderNonce),
      noncesStored: seen.size,
    })
    if (judged.fault) throw judged.fault
    seen.add(ticket.senderNonce)
  }
}

function recoverAll(): void {
  for (const { signature, recid, message } of recoveries) {
    secp256k1.ecdsaRecover(signature, recid, message, false)
  }
}

/** CPU time of all threads including the garbage collector, without waiting for the processor. */
function millisecondsOf(work: () => void): number {
  const start = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!
}

const validating: number[] = []
const recovering: number[] = []
for (let turn = -WARM_UP_TURNS; turn < TURNS; turn++) {
  // The order alternates, so that neither always has warm caches.
  const first = turn % 2 === 0 ? millisecondsOf(validateAll) : 0
  const recovery = millisecondsOf(recoverAll)
  const validation = turn % 2 === 0 ? first : millisecondsOf(validateAll)
  if (turn < 0) continue
  validating.push(validation)
  recovering.push(recovery)
}

const ticketsPerSecond = Math.round((TICKETS * 1000) / median(validating))
const recoveriesPerSecond = Math.round((TICKETS * 1000) / median(recovering))
const ratio = Number((ticketsPerSecond / recoveriesPerSecond).toFixed(3))
console.log(
  `${TICKETS * TURNS} tickets and as many bare recoveries, in ${TURNS} turns each; medians, one core`,
)
console.log(
  `tickets validated   ${ticketsPerSecond} a second (${(1e6 / ticketsPerSecond).toFixed(1)} µs each)`,
)
console.log(
  `bare recoveries     ${recoveriesPerSecond} a second (${(1e6 / recoveriesPerSecond).toFixed(1)} µs each)`,
)
console.log(`ratio               ${ratio}`)
console.log(JSON.stringify({ ticketsPerSecond, recoveriesPerSecond, ratio }))
