import type { Causes } from '../../domain/causes.ts'
import { causeOfRefusal } from '../../domain/refused-payment.ts'
import type { Address } from '../../lib/crypto.ts'

/** Does work for a gateway. If it is refused, the cause is noted for that gateway, and the error thrown on. */
export async function notingRefusals<Result>(
  { causes, recipient, sender }: { causes: Causes; recipient: Address; sender: Address },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    const cause = causeOfRefusal(error, { recipient, sender })
    if (cause) causes.met(cause, sender)
    throw error
  }
}
