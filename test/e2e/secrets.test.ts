import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../devnet/free-port.ts'
import { Network } from '../../devnet/network.ts'
import { NodeProcess } from '../../devnet/node-process.ts'
import { secretStoreAt, secretsIn, secretUrlsAt } from '../fakes/secret-urls.ts'
import { until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

const BIN = fileURLToPath(new URL('../../bin/livepeer', import.meta.url))
/** A read of the control API may wait for an endpoint that does not answer. */
const READ_MS = 10_000
const run = promisify(execFile)

/** A provider of RPC that names the key of each request that it refuses. `allows`: whether it answers this one. */
async function startProvider(t: TestContext, chainPort: number, allows: (count: number) => boolean) {
  const seen: string[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const credentials = Buffer.from(request.headers.authorization?.slice(6) ?? '', 'base64').toString()
    seen.push(`${credentials} ${request.url}`)
    if (allows(seen.length)) {
      const body = Buffer.concat(chunks)
      const headers = { 'content-type': 'application/json' }
      const real = await fetch(`http://127.0.0.1:${chainPort}`, { method: 'POST', headers, body })
      response.writeHead(real.status, headers).end(await real.text())
      return
    }
    const message = `no such project: ${request.url}, user ${credentials}`
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message } }))
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  t.after(close)
  return { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, close }
}

test('no node of any role shows what is secret in the URLs of its providers: in its log, status, metrics and pages', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'livepeer-secrets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  const logs = join(folder, 'logs')
  await using network = await Network.prepare({
    ...{ setup: 'multi', orchestratorFlags: EVERY_TICKET_WINS.orchestrator, logFolder: logs },
    gatewayFlags: ['-transcodingOptions', profiles],
  })
  const refusing = await startProvider(t, network.anvil.port, () => false)
  // Every tenth request is refused, with the key in the refusal.
  const good = await startProvider(t, network.anvil.port, (count) => count % 10 !== 0)
  const dead = `127.0.0.1:${await freePort()}`
  const urls = [
    ...[secretUrlsAt(refusing.at, 'http')[0]!, secretUrlsAt(dead, 'ws')[4]!, secretUrlsAt(dead, 'http')[2]!],
    secretUrlsAt(good.at, 'http')[4]!,
  ]
  const others = secretUrlsAt('others.example', 'https')
  const store = secretStoreAt(dead)
  const extra: Record<string, string[]> = {
    gateway: ['-orchPerfStatsUrl', others[4]!, '-objectStore', store, '-recordStore', store],
  }
  const alerts = ['-alert', secretUrlsAt(dead, 'http')[4]!, '-alert', secretUrlsAt(dead, 'slack+http')[0]!]
  const nodes = network.nodes.map(({ account, kind, process: { command } }) => {
    const chain = account ? ['-ethUrl', urls.join(',')] : []
    const flags = [...command.flags, ...chain, '-v', '6', '-monitor', ...alerts, ...(extra[kind] ?? [])]
    return new NodeProcess({ ...command, flags })
  })
  t.after(() => Promise.all(nodes.map((node) => node.stop())))
  for (const node of nodes) await node.start()

  const shown: string[] = []
  const lookAt = async (control: string) => {
    const pages = await pagesOf(control)
    assert.ok(pages.length > 15, pages.join())
    shown.push(...(await Promise.all(pages.map((page) => textAt(`http://${control}${page}`)))))
    const screen = await run(BIN, ['status', control]).catch((error) => error)
    shown.push(screen.stdout, screen.stderr)
  }
  const look = () => Promise.all(nodes.map(({ command }) => lookAt(command.control)))
  await using load = await TinyLoad.start(network.urls.gateway, 2, { pauseMs: 100 })
  await until(async () => (load.served >= 6 ? true : null), 'some segments')
  await network.anvil.mine(45)
  await look()
  await load.stop()
  // The last provider is gone too.
  good.close()
  await sleep(4_000)
  await look()
  await Promise.all(nodes.map((node) => node.stop()))
  for (const file of await readdir(logs)) shown.push(await readFile(join(logs, file), 'utf8'))

  const text = shown.join('\n')
  assert.deepEqual(secretsIn(text), [])
  // The secrets were in use, and the endpoints are named.
  assert.ok(secretsIn(good.seen.join('\n')).length >= 3, good.seen[0])
  assert.ok(refusing.seen.length > 0)
  for (const at of [refusing.at, dead, good.at]) assert.ok(text.includes(at), at)
  for (const cause of ['recording-failing', 'object-store-failing']) assert.ok(text.includes(cause), cause)
})

/** What a node's control API answers to GET without parameters, except for its events, which have no end. */
async function pagesOf(control: string): Promise<string[]> {
  const answer = await fetch(`http://${control}/openapi.json`)
  const { paths } = (await answer.json()) as { paths: Record<string, { post?: unknown }> }
  const readable = Object.keys(paths).filter((path) => paths[path]!.post === undefined && path !== '/events')
  return ['/', ...readable.filter((path) => path !== '/')]
}

/** What is answered, or why nothing is. */
async function textAt(url: string): Promise<string> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(READ_MS) })).text()
  } catch (error) {
    return String(error)
  }
}
