import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Anvil } from '../../devnet/anvil.ts'
import { devnetKey, devnetKeyBytes } from '../../devnet/artifacts.ts'
import { freePort } from '../../devnet/free-port.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { Protocol } from '../../devnet/protocol.ts'
import { TcpLink } from '../../devnet/tcp-link.ts'
import { writeKeyFile } from '../../src/io/chain/keystore.ts'
import { eventually } from '../tools/until.ts'

/** SIGTERM while a node starts: nothing runs that had to be finished, so it ends at once, whatever its start waits for. */

/** It takes some hundredths of a second; a machine that is busy with other tests needs longer. */
const END_MS = 2_000
const ETHER = 10n ** 18n

let folder: string
let anvil: Anvil
let protocol: Protocol
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'livepeer-early-'))
  anvil = await Anvil.start()
  protocol = await Protocol.deploy(anvil)
  await protocol.bondAndRegister(devnetKey('orchestrator'), {
    ...{ stake: 1000n * ETHER, serviceUri: 'https://127.0.0.1:8935' },
  })
  await protocol.nextRound()
})
after(async () => {
  await anvil?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** A port that accepts connections and never says anything. */
async function silentPort(t: TestContext): Promise<number> {
  const server = createServer(() => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

let nodes = 0

/** A node that is not started yet. On chain its account is the registered orchestrator's. */
async function node(
  flags: readonly string[],
  rpc?: { port: number; scryptN?: number },
): Promise<NodeProcess> {
  const dataDir = join(folder, String(++nodes))
  const control = `127.0.0.1:${await freePort()}`
  const all = [...flags, '-cliAddr', control, '-dataDir', dataDir]
  if (rpc) {
    const options = { scryptN: rpc.scryptN ?? 2 ** 12 }
    await writeKeyFile(join(dataDir, 'keystore'), devnetKeyBytes('orchestrator'), 'devnet', options)
    all.push('-network', 'devnet', '-ethUrl', `http://127.0.0.1:${rpc.port}`, '-ethPassword', 'devnet')
    all.push('-ethController', protocol.addresses.controller)
  }
  return new NodeProcess({ name: flags[0]!, flags: all, control })
}

async function stopped(t: TestContext, node: NodeProcess): Promise<void> {
  const sent = performance.now()
  process.kill(node.pid!, 'SIGTERM')
  await Promise.race([node.ended(), sleep(30_000)])
  const tookMs = Math.round(performance.now() - sent)
  t.diagnostic(`${tookMs} ms`)
  await node.kill()
  assert.match(node.ending, /^exit code 0$|^killed by SIGTERM$/, node.output)
  assert.ok(tookMs < END_MS, `it took ${tookMs} ms\n${node.output}`)
}

const GATEWAY = async () => ['-gateway', '-httpAddr', `127.0.0.1:${await freePort()}`]
const ORCHESTRATOR = async () => {
  const address = `127.0.0.1:${await freePort()}`
  return ['-orchestrator', '-transcoder', '-serviceAddr', address]
}

describe('SIGTERM ends a node that starts within a second', () => {
  for (const afterMs of [0, 200, 500, 1_000]) {
    it(`${afterMs} ms after its process was started`, async (t) => {
      const starting = await node(await ORCHESTRATOR())
      starting.launch()
      await sleep(afterMs)
      await stopped(t, starting)
    })
  }

  for (const afterMs of [0, 100, 300, 600]) {
    it(`${afterMs} ms after its first line`, async (t) => {
      const starting = await node([...(await ORCHESTRATOR()), '-maxSessions', 'auto'])
      starting.launch()
      await eventually('the first line', () => starting.output.includes('starting livepeer-ts'))
      await sleep(afterMs)
      await stopped(t, starting)
    })
  }

  it('while its key is opened', async (t) => {
    const starting = await node(await GATEWAY(), { port: anvil.port, scryptN: 2 ** 18 })
    starting.launch()
    await eventually('the start', () => starting.output.includes('starting livepeer-ts'))
    await sleep(100)
    await stopped(t, starting)
  })

  it('while nothing listens at its endpoint', async (t) => {
    const starting = await node(await GATEWAY(), { port: 1 })
    starting.launch()
    await eventually('the wait', () => starting.output.includes('chain not reachable yet'))
    await stopped(t, starting)
  })

  it('while its endpoint accepts connections and does not answer', async (t) => {
    const port = await silentPort(t)
    const starting = await node(await GATEWAY(), { port })
    starting.launch()
    await eventually('the start', () => starting.output.includes('starting livepeer-ts'))
    await sleep(1_000)
    await stopped(t, starting)
  })

  const roles: [role: string, flags: () => Promise<string[]>][] = [
    ['a gateway', GATEWAY],
    ['an orchestrator', async () => [...(await ORCHESTRATOR()), '-pricePerUnit', '1']],
    ['a redeemer', async () => ['-redeemer', '-httpAddr', `127.0.0.1:${await freePort()}`]],
    ['a reward service', async () => ['-reward']],
  ]
  for (const [role, flags] of roles) {
    it(`while the endpoint of ${role} falls silent after its first answers`, async (t) => {
      await using link = await TcpLink.open(anvil.port)
      const starting = await node(await flags(), { port: link.port })
      starting.launch()
      await eventually('the chain', () => starting.output.includes('connected to the chain'))
      link.freeze()
      await sleep(500)
      await stopped(t, starting)
    })
  }
})

describe('a start that is called off', () => {
  it('leaves a data folder with which the node starts the next time', async (t) => {
    const starting = await node(await ORCHESTRATOR())
    t.after(() => starting.stop())
    starting.launch()
    await eventually('the start', () => starting.output.includes('starting livepeer-ts'))
    await stopped(t, starting)
    await starting.start()
    assert.ok(await starting.isReady())
  })
})
