import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Bind } from '../config/addresses.ts'
import { chooseAccount } from '../io/chain/wallet.ts'
import type { MachineView } from './config-facts.ts'

/** This machine, looked at without changing anything: a port is taken for the moment of the look. */
export const machineView: MachineView = { chooseAccount, look, isFree }

async function look(folder: string): Promise<'usable' | 'absent' | 'unusable'> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error)
  if (found instanceof Error) return found.code === 'ENOENT' ? 'absent' : 'unusable'
  if (!found.isDirectory()) return 'unusable'
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => 'usable',
    () => 'unusable',
  )
}

function isFree({ host, port }: Bind): Promise<boolean> {
  if (port === 0) return Promise.resolve(true)
  return new Promise((resolve) => {
    const server = createServer()
    // Whatever else is wrong with the address is said when the node starts.
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'))
    server.listen({ port, ...(host === '' ? {} : { host }), exclusive: true }, () => {
      server.close(() => resolve(true))
    })
  })
}
