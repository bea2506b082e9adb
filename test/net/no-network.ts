import dgram from 'node:dgram'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

/** Preloaded (`--import`), ends a process with 99 when it opens a socket or asks for a name. */
const refuse = (): never => {
  process.stderr.write('the network was used\n')
  process.exit(99)
}

net.Socket.prototype.connect = refuse
net.Server.prototype.listen = refuse
dgram.createSocket = refuse
dns.lookup = refuse as unknown as typeof dns.lookup
dns.promises.lookup = refuse
syncBuiltinESMExports()
