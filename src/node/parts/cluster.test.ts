import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { clusterAddress } from './cluster.ts'

const CHAIN =
  '-network devnet -ethController 0x0000000000000000000000000000000000000001 -ethUrl http://127.0.0.1:1'
const ORCHESTRATOR = '-orchestrator -transcoder -serviceAddr o.example:8935'
const STORE = '-store postgres://127.0.0.1:1/x'

for (const [what, line, address] of [
  ['as it is told', `${ORCHESTRATOR} ${STORE} -clusterAddr node1.internal:9000`, 'node1.internal:9000'],
  [
    'a host alone, with the port of its own',
    `${ORCHESTRATOR} ${STORE} -httpAddr 0.0.0.0:9001 -clusterAddr 10.9.9.9`,
    '10.9.9.9:9001',
  ],
  ['where it listens', `${ORCHESTRATOR} ${STORE} -httpAddr 10.0.0.5:9001`, '10.0.0.5:9001'],
  [
    'on all addresses, at the one on the way to the database',
    `${ORCHESTRATOR} ${STORE} -httpAddr 0.0.0.0:9001`,
    '127.0.0.1:9001',
  ],
  [
    'by IPv6 too',
    `${ORCHESTRATOR} -store postgres://[::1]:1/x -httpAddr [::]:9001`,
    /^(\[::1\]|127\.0\.0\.1):9001$/,
  ],
  ['by default', `${ORCHESTRATOR} ${STORE}`, '127.0.0.1:8935'],
  ['a redeemer', `${CHAIN} -redeemer -redeemerSecret none ${STORE} -httpAddr 10.0.0.5:8935`, '10.0.0.5:8935'],
  [
    'a reward service, told apart by its control API',
    `${CHAIN} ${STORE} -cliAddr 127.0.0.1:2936`,
    '127.0.0.1:2936',
  ],
] as const) {
  test(`siblings reach a node ${what}`, async () => {
    const found = await clusterAddress(settingsOf(line))
    if (typeof address === 'string') assert.equal(found, address)
    else assert.match(found, address)
  })
}

test('a database whose host has no address leaves it to the operator', async () => {
  const settings = settingsOf(`${ORCHESTRATOR} -store postgres://nowhere.invalid/x -httpAddr 0.0.0.0:9001`)
  await assert.rejects(clusterAddress(settings), {
    code: 'no-cluster-address',
    message:
      /^this machine's address on the way to the database of -store cannot be used \(.+\): give -clusterAddr, where the other nodes reach this one$/,
  })
})
