import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { runDrain } from './drain.ts'

type Answer = { readonly status?: number; readonly body: unknown }

/** A control API that answers `METHOD /path` in turn, the last again and again. */
async function serve(t: TestContext, answers: Readonly<Record<string, readonly Answer[]>>): Promise<string> {
  const asked = new Map<string, number>()
  const server = createServer((request: IncomingMessage, response) => {
    const key = `${request.method} ${request.url}`
    const turn = asked.get(key) ?? 0
    asked.set(key, turn + 1)
    const all = answers[key] ?? [{ status: 404, body: 'no such path' }]
    const { body, status = 200 } = all[Math.min(turn, all.length - 1)]!
    const isOpen = answers.token?.[0]?.body ?? request.headers.authorization
    response.statusCode = isOpen === request.headers.authorization ? status : 401
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return String((server.address() as AddressInfo).port)
}

async function run(command: 'drain' | 'undrain', argv: string[], signal = new AbortController().signal) {
  let out = ''
  let err = ''
  const code = await runDrain(
    {
      ...{ command, argv, variables: {}, readText: (path) => (path === 'token.txt' ? 'hush\n' : null) },
      write: (text) => {
        out += text
      },
      writeError: (text) => {
        err += text
      },
    },
    signal,
  )
  return { code, out, err }
}

test('drain begins a drain and waits until it is over', async (t) => {
  const port = await serve(t, {
    'POST /drain': [{ body: { drain: 'draining' } }],
    'GET /status': [{ body: { drain: 'draining', version: '1' } }, { body: { drain: 'drained' } }],
  })
  const name = `127.0.0.1:${port}`
  assert.deepEqual(await run('drain', [port]), {
    ...{ code: 0, err: '' },
    out: `${name} takes nothing new and finishes what runs\n${name} is drained\n`,
  })
})

test('undrain says that the node works again, and passes on the token', async (t) => {
  const port = await serve(t, {
    'POST /undrain': [{ body: { drain: null } }],
    token: [{ body: 'Bearer hush' }],
  })
  const name = `127.0.0.1:${port}`
  const done = { code: 0, out: `${name} takes work again\n`, err: '' }
  assert.deepEqual(await run('undrain', ['-token', 'hush', port]), done)
  assert.deepEqual(await run('undrain', ['--token', 'token.txt', port]), done)
  assert.equal((await run('undrain', [port])).code, 1)
})

test('a refusal, a node undrained by another, a stranger and silence are told in a sentence', async (t) => {
  const refused = { status: 409, body: 'this node has not started yet: it has nothing to drain\n' }
  const undone = { 'POST /drain': [{ body: { drain: 'draining' } }], 'GET /status': [{ body: {} }] }
  for (const [answers, sentence] of [
    [{ 'POST /drain': [refused] }, /: this node has not started yet: it has nothing to drain\n$/],
    [undone, /: it takes work again: somebody has undrained it\n$/],
    [{}, /: it knows no drain: it is another program, or an older version\n$/],
    [{ 'POST /drain': [{ body: '<html>' }] }, /: its answer is not that of a livepeer-ts node\n$/],
    [{ 'POST /drain': [{ body: { drain: 'gone' } }] }, /: its answer is not that of a livepeer-ts node\n$/],
    [{ 'POST /drain': [{ body: 'x'.repeat(5_000_000) }] }, /: its answer is longer than 4194304 bytes\n$/],
  ] as const) {
    const { code, err } = await run('drain', [await serve(t, answers)])
    assert.equal(code, 1)
    assert.match(err, sentence)
  }
  const { code, err } = await run('drain', ['1'])
  assert.equal(code, 1)
  assert.match(err, /^127\.0\.0\.1:1: no answer: /)
})

test('an interrupted wait leaves the node draining', async (t) => {
  const port = await serve(t, {
    'POST /drain': [{ body: { drain: 'draining' } }],
    'GET /status': [{ body: { drain: 'draining' } }],
  })
  const { code, err } = await run('drain', [port], AbortSignal.timeout(600))
  assert.deepEqual([code, err], [1, `127.0.0.1:${port} goes on draining\n`])
})

for (const [argv, sentence] of [
  [[], 'livepeer drain takes the address of one node, not 0'],
  [['1', '2'], 'livepeer drain takes the address of one node, not 2'],
  [['host'], 'the address host has no port: write HOST:PORT, such as host:7935'],
  [['--nonsense', '1'], "Unknown option '--nonsense'"],
] as const) {
  test(`the command line ${argv.join(' ') || 'without a node'} is refused in a sentence`, async () => {
    const { code, err } = await run('drain', [...argv])
    assert.deepEqual([code, err], [2, `${sentence}: livepeer drain --help explains\n`])
  })
}

test('help is printed', async () => {
  for (const command of ['drain', 'undrain'] as const) {
    const { code, out } = await run(command, ['-h'])
    assert.equal(code, 0)
    assert.match(out, new RegExp(`^Usage: livepeer ${command} `))
  }
})
