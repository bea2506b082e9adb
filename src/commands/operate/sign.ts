import { openWallet } from '../../io/chain/wallet.ts'
import type { Address } from '../../lib/crypto.ts'
import { systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { optionOf, takes } from './actions.ts'
import { linesOfCall } from './answers.ts'
import { checkedWords, expectationOf } from './checked-transactions.ts'
import type { ReadCommand } from './command-line.ts'
import { agrees } from './consent.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'
import { tellLines, writeJson } from './output.ts'
import { readTransactionFile, type UnsignedFile, writeTransactionFile } from './transaction-file.ts'

/**
 * Signs the transactions of a file with a key of the keystore, after a person has seen what they do. No network is used.
 * Returns the exit code. Throws UsageError, or a sentence.
 */
export async function signTransactions(
  line: ReadCommand,
  env: OperateEnvironment,
  signal: AbortSignal,
): Promise<0 | 1> {
  const [path] = takes(line, 'FILE')
  const expectation = expectationOf(line)
  const keystore = optionOf(line, 'ethKeystorePath')
  if (keystore === null)
    throw new UsageError('livepeer tx sign needs --ethKeystorePath, the folder or the file of the key')
  const content = readTransactionFile(textOf(path, env), path)
  if (content.state !== 'unsigned') throw new Error(`${path} is signed already: livepeer tx send sends it`)
  const words = checkedWords(content, expectation)
  const tell = (lines: readonly string[]) => tellLines(line, env, lines)
  tell([
    `to sign with ${content.from}, for chain ${content.chainId}:`,
    ...words.flatMap((call, index) => [
      `${index + 1}. ${call.about}`,
      ...linesOfCall(call).map((text) => `     ${text}`),
      `     is number ${content.transactions[index]!.nonce} of the account`,
    ]),
  ])
  await agrees('Sign this? [y/N] ', line, env, signal)
  const out = optionOf(line, 'out') ?? `${path}.signed`
  const transactions = await signed(content, keystore, line, env)
  env.writeNew(out, writeTransactionFile({ ...content, state: 'signed', transactions }))
  tell([`written to ${out}, signed: livepeer tx send sends it from a machine with a network`])
  if (line.options.json === true) {
    writeJson(env, { file: out, from: content.from, transactions: words.map(({ about }) => about) })
  }
  return 0
}

async function signed(
  { chainId, from, transactions }: UnsignedFile,
  keystorePath: string,
  line: ReadCommand,
  env: OperateEnvironment,
) {
  const given = optionOf(line, 'ethPassword') ?? env.variables.LP_ETHPASSWORD
  const wallet = await openWallet(
    {
      ...{ keystoreDirectory: keystorePath, keystorePath, address: from as Address },
      password: given === undefined || given === '' ? null : given,
    },
    { dice: systemDice, clock: env.clock, log: silentLog, prompt: env.askHidden },
  )
  return Promise.all(
    transactions.map(async ({ about, ...transaction }) => {
      const { raw } = await wallet.signTransaction({
        type: 'eip1559',
        chainId: Number(chainId),
        ...transaction,
      })
      return { about, raw }
    }),
  )
}

/** The text of a file. Throws a sentence. */
export function textOf(path: string, { readText }: Pick<OperateEnvironment, 'readText'>): string {
  const text = readText(path)
  if (text === null) throw new Error(`${path} cannot be read, or is empty or no file`)
  return text
}
