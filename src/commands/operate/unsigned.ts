import type { Hex } from '../../lib/bytes.ts'
import { parseAddress } from '../../lib/crypto.ts'
import type { DryRun } from './answers.ts'
import type { OperateEnvironment } from './environment.ts'
import { writeTransactionFile } from './transaction-file.ts'

/** Writes what a node would send into a new file, for a key that is kept offline. Throws a sentence. */
export function writeUnsigned(
  path: string,
  command: string,
  { chainId, from, steps }: DryRun,
  env: Pick<OperateEnvironment, 'writeNew'>,
): void {
  const transactions = steps.flatMap(({ call }) => {
    if (!call) return []
    if (call.open !== null) throw new Error(`it was sent before as ${call.open} and waits to be mined`)
    const { data, to, ...rest } = call.transaction
    return [{ about: call.about, ...rest, to: parseAddress(to), data: data as Hex }]
  })
  if (transactions.length === 0) throw new Error('nothing is to be sent, so no file is written')
  const text = writeTransactionFile({
    state: 'unsigned',
    chainId,
    from: parseAddress(from),
    command,
    transactions,
  })
  env.writeNew(path, text)
}
