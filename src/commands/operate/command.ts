import { commandHelp } from '../../config/commands.ts'
import { OPERATE_COMMANDS } from '../../config/operate-commands.ts'
import { messageOf } from '../../lib/errors.ts'
import { runAction } from './act.ts'
import { ACTIONS } from './actions.ts'
import { type ReadCommand, readCommand } from './command-line.ts'
import { type OperateEnvironment, UsageError } from './environment.ts'
import { checkGateway } from './gateway-check.ts'
import { showOrchestrator } from './orchestrator-status.ts'
import { setPrice, showPrice } from './price.ts'
import { sendTransactions } from './send.ts'
import { signTransactions } from './sign.ts'

type Run = (line: ReadCommand, env: OperateEnvironment, signal: AbortSignal) => Promise<0 | 1>

const OTHERS: Readonly<Record<string, Run>> = {
  'orchestrator status': showOrchestrator,
  'gateway check': checkGateway,
  'price show': showPrice,
  'price set': setPrice,
  'tx sign': signTransactions,
  'tx send': sendTransactions,
}

const NAMES = OPERATE_COMMANDS.map(({ name }) => name)

/** Runs a command that acts with a node's account. Returns the exit code. */
export async function runOperate(env: OperateEnvironment, signal: AbortSignal): Promise<0 | 1 | 2> {
  try {
    const line = readCommand(env.argv, NAMES)
    if ('help' in line) {
      env.write(commandHelp(line.help))
      return 0
    }
    const { name } = line.command
    const action = ACTIONS[name]
    return await (action ? runAction(line, action, env, signal) : OTHERS[name]!(line, env, signal))
  } catch (error) {
    const isUsage = error instanceof UsageError
    env.writeError(`${messageOf(error)}${isUsage ? '; --help shows the options' : ''}\n`)
    return isUsage ? 2 : 1
  }
}
