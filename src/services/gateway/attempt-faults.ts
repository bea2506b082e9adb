import { AttemptError, type AttemptFault, faultOfText } from '../../domain/attempt.ts'
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

const submissionFaults: ReadonlySet<string> = new Set<AttemptFault>([
  'header-timeout',
  'body-timeout',
  'unreachable',
  'bad-answer',
])

/** The error of an attempt whose submission failed. */
export function submissionFault(error: unknown): AttemptError {
  const text = messageOf(error)
  const code = error instanceof NodeError ? error.code : ''
  if (code === 'refused') {
    // With a status of 500 or above the peer declares itself at fault.
    const isTrouble = Number((error as NodeError).details.status) >= 500
    const fault = faultOfText(text, 'refused')
    return new AttemptError(isTrouble && fault === 'refused' ? 'unable' : fault, text, { cause: error })
  }
  const fault = submissionFaults.has(code) ? (code as AttemptFault) : 'unreachable'
  if (isUnsent(error)) return new AttemptError('unsent', text, { cause: error })
  return new AttemptError(fault, text, { cause: error })
}

/** Whether it is certain that nothing of a submission was sent. */
export function isUnsent(error: unknown): boolean {
  return error instanceof NodeError && error.details.isUnsent === true
}
