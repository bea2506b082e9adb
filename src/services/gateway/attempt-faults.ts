import { AttemptError, type AttemptFault, faultOfRefusal } from '../../domain/attempt.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'

const paymentFaults: ReadonlySet<string> = new Set<AttemptFault>([
  'sender-cannot-pay',
  'funds-unknown',
  'price-doubled',
])

/** The error of an attempt whose payment could not be made. */
export function paymentFault(error: unknown): AttemptError {
  const code = error instanceof NodeError ? error.code : ''
  const fault = paymentFaults.has(code) ? (code as AttemptFault) : 'payment-refused'
  return new AttemptError(fault, messageOf(error), { cause: error })
}

const submissionFaults: Readonly<Record<string, AttemptFault>> = {
  'header-timeout': 'header-timeout',
  'body-timeout': 'body-timeout',
  'bad-answer': 'cut-short',
}

/** The error of an attempt whose submission failed. */
export function submissionFault(error: unknown): AttemptError {
  if (error instanceof AttemptError) return error
  const text = messageOf(error)
  const code = error instanceof NodeError ? error.code : ''
  const details = error instanceof NodeError ? error.details : {}
  const options = { cause: error, details }
  if (code === 'refused') {
    const { fault, reason } = faultOfRefusal(Number(details.status ?? 0), text)
    return new AttemptError(fault, reason, options)
  }
  const fault = submissionFaults[code] ?? (isUnsent(error) ? 'unsent' : 'unreachable')
  return new AttemptError(fault, text, options)
}

/** Whether it is certain that nothing of a submission was sent. */
export function isUnsent(error: unknown): boolean {
  return error instanceof NodeError && error.details.isUnsent === true
}
