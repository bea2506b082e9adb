import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { NodeProcess } from '../../devnet/node-process.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import type { GatewayStatus, OrchestratorStatus } from '../../src/node/status/status.ts'
import { makeSegment } from '../media/media.ts'
import { Devnet, nothingLeft } from './devnet-process.ts'

/** `npm start -- --setup chain`: a chain for nodes of one's own. */

const SEGMENT_MS = 2_000

/** A node by a command line as it is printed. */
function nodeOf(t: TestContext, line: string): NodeProcess {
  const [program, ...flags] = line.split(' ')
  assert.equal(program, 'livepeer')
  const control = flags[flags.indexOf('-cliAddr') + 1]!
  const node = new NodeProcess({ name: flags[0]!.slice(1), flags, control })
  t.after(() => node.stop())
  return node
}

test('two nodes start by the flags that are printed, and a segment is transcoded and paid', async (t) => {
  const devnet = new Devnet(['--setup', 'chain'])
  t.after(() => devnet.child.kill('SIGKILL'))
  await devnet.says(/^Ctrl-C stops the chain/m)
  const lines = [...devnet.stdout.matchAll(/^\$ (livepeer .*)$/gm)].map((match) => match[1]!)
  assert.equal(lines.length, 2)
  const common = /^livepeer (-network .*)$/m.exec(devnet.stdout)![1]!
  for (const line of lines) assert.ok(line.includes(common), 'each has the flags of every node')
  const [orchestrator, gateway] = lines.map((line) => nodeOf(t, line)) as [NodeProcess, NodeProcess]
  await orchestrator.start()
  await gateway.start()

  const { flags } = gateway.command
  const http = `http://${flags[flags.indexOf('-httpAddr') + 1]}`
  const bytes = await makeSegment({ width: 640, height: 360, fps: 30, durationMs: SEGMENT_MS })
  const pushed = await pushSegment(http, 'mine', { seq: 0, bytes, durationMs: SEGMENT_MS })
  assert.equal(pushed.status, 200, pushed.text)
  assert.equal(pushed.renditions.length, 2)
  const { ticketsAccepted } = await gateway.status<GatewayStatus>()
  assert.ok(ticketsAccepted > 0, 'it was paid')
  const { tickets } = await orchestrator.status<OrchestratorStatus>()
  assert.equal(tickets.received, ticketsAccepted)
  const [, registered] = /^registered +(0x\w+) at/m.exec(devnet.stdout)!
  assert.ok(lines[0]!.includes(registered!), 'the orchestrator is the registered one')

  await Promise.all([gateway.stop(), orchestrator.stop()])
  const { folder, ports } = devnet
  const family = devnet.family()
  assert.ok(existsSync(folder!))
  devnet.child.kill('SIGINT')
  assert.equal(await devnet.ended, 0, devnet.stderr)
  await nothingLeft(family, ports)
  assert.equal(existsSync(folder!), false, 'its keys are left')
})
