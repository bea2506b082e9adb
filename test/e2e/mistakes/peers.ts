import { devnetKey, devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { walletOfKey } from '../../../src/io/chain/wallet.ts'
import { keccak256 } from '../../../src/lib/crypto.ts'
import { startEndpoint } from '../../fakes/endpoint.ts'
import type { Mistake } from '../mistake.ts'

const CHAIN = '-network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}'

/** The addresses of other nodes, and what they share. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a service address at which nobody answers',
    flags: '-orchestrator -orchSecret s -serviceAddr 127.0.0.1:{port} -httpAddr 127.0.0.1:{port2}',
    ends: 1,
    says: /^this node cannot be reached at its advertised address https:\/\/127\.0\.0\.1:{port} /,
    flag: null,
  },
  {
    name: 'a transcoder without its orchestrator’s secret',
    flags: '-transcoder -orchAddr 127.0.0.1:{port}',
    ends: 1,
    says: '-transcoder without -orchestrator needs -orchSecret, the secret it shares with its orchestrator',
    flag: '-orchSecret',
  },
  {
    name: 'a transcoder without an orchestrator',
    flags: '-transcoder -orchSecret s',
    ends: 1,
    says: '-transcoder without -orchestrator needs -orchAddr, the address of its orchestrator',
    flag: '-orchAddr',
  },
  {
    name: 'a port in words',
    flags: '-gateway -orchAddr 127.0.0.1:{port},host.example:port',
    ends: 1,
    says: '-orchAddr "host.example:port" is not a node address: write HOST:PORT, such as node.example:8935',
    flag: '-orchAddr',
  },
  {
    name: 'a list of commas',
    flags: '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -nodes ,',
    ends: 1,
    says: '-nodes "," lists no address',
    flag: '-nodes',
  },
  {
    name: 'no service address and no other nodes',
    flags: '-orchestrator -serviceAddr none',
    ends: 1,
    says: 'Empty service URI and no additional nodes specified: -serviceAddr none needs -nodes',
    flag: '-nodes',
  },
  {
    name: 'a redeemer at a word',
    flags: `-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -pricePerUnit 1 -redeemerAddr r:port ${CHAIN}`,
    ends: 1,
    says: '-redeemerAddr "r:port" is not a node address: write HOST:PORT, such as node.example:8935',
    flag: '-redeemerAddr',
  },
  {
    name: 'sources that are no hosts',
    flags: '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -uriSegments http://host.example/path',
    ends: 1,
    says: '-uriSegments "http://host.example/…" is not a host: write public, HOST or HOST:PORT, with commas between them',
    flag: '-uriSegments',
  },
  {
    name: 'a service address without a port',
    flags:
      '-orchestrator -orchSecret s -serviceAddr 127.0.0.1 -httpAddr 127.0.0.1:{port} -startupAvailabilityCheck=false',
    ends: 'runs',
    says: '-serviceAddr names no port, so 8935 is assumed: https://127.0.0.1:8935',
    flag: '-serviceAddr',
  },
  {
    name: 'a second node of an orchestrator, without an address of its own',
    flags:
      '-orchestrator -orchSecret s -pricePerUnit 1000 -startupAvailabilityCheck=false -httpAddr 127.0.0.1:{port2} -ethPassword devnet {chain}',
    keys: ['twin'],
    prepare: async (place) => {
      const { protocol } = await place.chain()
      const serviceUri = place.fill('https://127.0.0.1:{port}')
      await protocol.bondAndRegister(devnetKey('twin'), { stake: 10n ** 18n, serviceUri })
      const first = await startEndpoint({ port: Number(place.fill('{port}')) })
      place.defer(() => first[Symbol.asyncDispose]())
      const signer = walletOfKey(devnetKeyBytes('twin'))
      first.api.ping = (value) => signer.sign(keccak256(value))
    },
    ends: 'runs',
    says: /WARN .*another node of this account answers at the address on chain: give each its own -serviceAddr, or stop one .*account={address:twin} registered=https:\/\/127\.0\.0\.1:{port} listensAt=127\.0\.0\.1:{port2}/,
    flag: '-serviceAddr',
  },
]
