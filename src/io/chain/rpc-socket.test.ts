import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Anvil } from '../../../devnet/anvil.ts'
import { eventually } from '../../../test/tools/until.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { JsonSplitter } from './json-splitter.ts'
import { Rpc } from './rpc.ts'

let anvil: Anvil
const folder = mkdtempSync(join(tmpdir(), 'livepeer-ipc-'))

before(async () => {
  anvil = await Anvil.start({ ipc: join(folder, 'anvil.ipc') })
})
after(async () => {
  await anvil.stop()
  rmSync(folder, { recursive: true })
})

function connect(urls: string[]): Rpc {
  return new Rpc({ urls, chainId: anvil.chainId, timeoutMs: 2_000 }, { clock: systemClock, log: silentLog })
}

const account = (i: number) => `0x${i.toString(16).padStart(40, '0')}`

for (const [kind, url] of [
  ['a WebSocket', () => `ws://127.0.0.1:${anvil.port}`],
  ['an IPC socket', () => join(folder, 'anvil.ipc')],
] as const) {
  test(`over ${kind} the chain answers as over HTTP, many questions at once, and its verdicts come through`, async () => {
    using rpc = connect([url()])
    const ids = await Promise.all(
      Array.from({ length: 100 }, (_, i) => rpc.quantity('eth_getBalance', [account(i), 'latest'])),
    )
    assert.equal(ids.length, 100)
    assert.equal(await rpc.chainId(), anvil.chainId)
    await assert.rejects(rpc.request('eth_sendRawTransaction', ['0x00']), (error: { code: string }) => {
      return ['rpc-refused', 'rejected'].includes(error.code)
    })
    await anvil.mine(3)
    assert.ok((await rpc.header('latest'))!.number >= 3n)
  })
}

test('an endpoint over a socket is left for another when it ends, and used again when it is back', async () => {
  const own = await Anvil.start()
  const { port } = own
  using rpc = connect([`ws://127.0.0.1:${port}`, anvil.url])
  await rpc.request('eth_blockNumber')
  await own.stop()
  assert.equal(await rpc.quantity('eth_chainId'), 54321n)
  assert.deepEqual(
    rpc.health().map(({ state }) => state.kind),
    ['down', 'healthy'],
  )
  await using _ = await Anvil.start({ port })
  await eventually('back', async () => {
    await rpc.request('eth_blockNumber')
    return rpc.health()[0]!.state.kind === 'healthy'
  })
})

test('what is wrong with a socket is told without its folder', async () => {
  using rpc = connect([join(folder, 'secret', 'none.ipc'), 'ws://127.0.0.1:1/KEY'])
  await assert.rejects(rpc.request('eth_chainId'), {
    code: 'rpc-unreachable',
    message:
      'no usable RPC endpoint in -ethUrl: ipc:none.ipc: there is no such socket; ws://127.0.0.1:1: no WebSocket can be opened there',
  })
})

test('a process whose connections are closed can end', async () => {
  const code = `
    import { Rpc } from ${JSON.stringify(new URL('./rpc.ts', import.meta.url).href)}
    import { systemClock } from ${JSON.stringify(new URL('../../lib/clock.ts', import.meta.url).href)}
    import { silentLog } from ${JSON.stringify(new URL('../../lib/log.ts', import.meta.url).href)}
    const rpc = new Rpc({ urls: [process.argv[1]], chainId: null }, { clock: systemClock, log: silentLog })
    await rpc.request('eth_blockNumber')
    rpc[Symbol.dispose]()
  `
  for (const url of [`ws://127.0.0.1:${anvil.port}`, join(folder, 'anvil.ipc')]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, url], { stdio: 'inherit' })
    const timer = setTimeout(() => child.kill(), 20_000)
    const status = await new Promise((resolve) => child.once('exit', resolve))
    clearTimeout(timer)
    assert.equal(status, 0, url)
  }
})

test('an IPC socket that says too much, or nothing that answers, fails its requests and no more', async () => {
  const path = join(folder, 'odd.ipc')
  let answer: (socket: Socket) => void = (socket) => socket.end()
  const server = createServer((socket) => socket.on('data', () => answer(socket)).on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  try {
    using rpc = connect([path])
    await assert.rejects(rpc.request('eth_chainId'), /the connection was cut/)
    answer = (socket) =>
      socket.write('{"jsonrpc":"2.0","id":99999,"result":"0x1"}{"method":"eth_subscription"}')
    await systemClock.sleep(1_000)
    await assert.rejects(rpc.request('eth_chainId'), { code: 'rpc-timeout' })
  } finally {
    server.close()
  }
})

test('objects are cut out of a stream wherever its pieces end', () => {
  const texts = ['{"a":"}{\\\\\\"{"}', '[{"b":[1,2]},"]"]', '{}', '{"c":"é\\u0022"}']
  const stream = texts.join('\n ')
  for (let size = 1; size < stream.length; size++) {
    const splitter = new JsonSplitter(1_000)
    const found: string[] = []
    for (let at = 0; at < stream.length; at += size) found.push(...splitter.take(stream.slice(at, at + size)))
    assert.deepEqual(
      found.map((text) => text.trim()),
      texts,
    )
  }
  assert.throws(() => new JsonSplitter(10).take('{"a":"0123456789'))
})
