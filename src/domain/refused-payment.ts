import { ether } from '../lib/amounts.ts'
import type { Address } from '../lib/crypto.ts'
import { NodeError } from '../lib/errors.ts'
import type { Cause } from './causes.ts'

/** What is wrong with a payment, by the code of its refusal, as the end of "payments … are refused, since". */
const REASONS: Readonly<Record<string, string>> = {
  'wrong-recipient': 'since they pay another recipient',
  'no-sender': 'since they name no sender',
  'sender-missing': 'since they name no sender',
  'rand-does-not-match': 'since they were not offered by this node',
  'not-as-offered': 'since they differ from the offer',
  'invalid-signature': 'since they are not signed by their sender',
  'nonce-already-seen': 'since their tickets were received before',
  'too-many-nonces': 'since too many tickets of one offer came',
  'params-expired': 'since their offer has expired',
  'invalid-expected-price': 'since they name no valid price',
  'malformed-payment': 'since they are malformed',
  'too-many-tickets': 'since they carry too many tickets',
  'price-mismatch': 'since they pay less than the price',
  'too-many-payments': 'since too many come at the same time',
  'nonce-conflict': 'since their tickets were received elsewhere at the same time',
  'insufficient-balance': 'since they do not cover the segment',
  'sender-owes': 'since the gateway owes too much',
}

/**
 * The cause behind a refusal of a gateway's payment, or of an offer to it; null for a fault of this node itself, which
 * has a cause of its own.
 */
export function causeOfRefusal(
  error: unknown,
  { recipient, sender }: { readonly recipient: Address; readonly sender: Address },
): Cause | null {
  if (!(error instanceof NodeError)) return null
  const { code, message: text } = error
  switch (code) {
    case 'recipient-inactive':
      return { code, facts: { recipient, sender, text } }
    case 'sender-unlocking':
      return { code, facts: { sender, text } }
    case 'sender-info-unavailable':
      return { code: 'sender-unknown', facts: { sender, text } }
    case 'beyond-funds':
      return { code: 'sender-underfunded', facts: { sender, text } }
    case 'insufficient-sender-reserve':
      return { code: 'sender-underfunded', facts: { sender, text: reserveText(error) } }
    default: {
      const reason = REASONS[code]
      return reason === undefined ? null : { code: 'payment-refused', facts: { sender, reason, text } }
    }
  }
}

/** The peers' text says nothing of the amounts, which are in the details. */
function reserveText({ details, message }: NodeError): string {
  const { maxFloat, txCost } = details as { readonly maxFloat?: bigint; readonly txCost?: bigint }
  if (maxFloat === undefined || txCost === undefined) return message
  return `${message}: its tickets may pay ${ether(maxFloat)}, and redeeming one costs ${ether(txCost)}`
}
