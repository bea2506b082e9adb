import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../../devnet/free-port.ts'
import { routesOf } from '../../../test/fakes/control-routes.ts'
import {
  bodyOf,
  orchestratorStatus,
  redeemerStatus,
  rewardStatus,
} from '../../../test/fakes/status-answers.ts'
import { eventually } from '../../../test/tools/until.ts'
import { ControlApi } from '../../io/http/control-api.ts'
import { silentLog } from '../../lib/log.ts'
import { Supervisor } from '../../lib/service.ts'
import type { NodeStatus } from '../../node/status/status.ts'
import { runStatus } from './command.ts'

/** `livepeer status` against control APIs on the loopback. */

async function node(
  t: TestContext,
  status: () => NodeStatus,
  token = '',
  more: Parameters<typeof routesOf>[0] = {},
): Promise<string> {
  const port = await freePort()
  const supervisor = new Supervisor()
  t.after(() => supervisor.stop())
  const routes = routesOf({ '/status': () => ({ json: status() }), ...more })
  await supervisor.start(new ControlApi({ host: '127.0.0.1', port, token }, { routes, log: silentLog }))
  return `127.0.0.1:${port}`
}

function command(
  options: {
    variables?: Record<string, string>
    files?: Record<string, string>
    terminal?: { rows: number; columns: number }
  } = {},
) {
  const stop = new AbortController()
  const screens: string[] = []
  const errors: string[] = []
  const run = (...argv: string[]) =>
    runStatus(
      {
        ...{
          argv,
          variables: options.variables ?? {},
          terminal: () => options.terminal ?? null,
          now: () => Date.now(),
        },
        readText: (path) => options.files?.[path] ?? null,
        write: (text) => void screens.push(text),
        writeError: (text) => void errors.push(text),
      },
      stop.signal,
    )
  return { run, screens, errors, stop }
}

const well = (status: NodeStatus) => () => ({ ...status, nowMs: Date.now() })

test('the named nodes are asked and shown on one screen; the exit code is 0 when all is well', async (t) => {
  const addresses = [
    await node(t, well(redeemerStatus())),
    await node(t, well(rewardStatus())),
    await node(t, well(orchestratorStatus())),
  ]
  const { errors, run, screens } = command()
  assert.equal(await run(...addresses), 0)
  assert.deepEqual(errors, [])
  assert.equal(screens.length, 1)
  for (const sign of ['3 nodes', 'NEEDS ATTENTION: nothing', ...addresses])
    assert.ok(screens[0]!.includes(sign))
})

test('a node that keeps tickets is asked for its book, of which the screen tells the luck', async (t) => {
  let asked = 0
  const total = {
    ...{ expectedWei: '20', wonWei: '18', lowWei: '10', highWei: '30' },
    ...{ ticketsReceived: 900, ticketsWon: 18 },
  }
  const ledger = () => {
    asked += 1
    return { json: { total } }
  }
  const keeper = await node(t, well(orchestratorStatus()), 'hush', { '/ledger': ledger })
  // One of an earlier version has no book.
  const older = await node(t, well(orchestratorStatus()), 'hush')
  const { run, screens } = command()
  assert.equal(await run('--token', 'hush', keeper, older, await node(t, well(rewardStatus()), 'hush')), 0)
  assert.match(
    screens[0]!.replace(/\s+/g, ' '),
    new RegExp(
      `LUCK IN THE LAST 31 DAYS orchestrator ${keeper} 18 wei was won with 18 of 900 tickets; 20 wei was to be expected, .* between 10 wei and 30 wei\\. WHO REDEEMS`,
    ),
  )
  assert.equal(await run('--token', 'hush', '--json', keeper), 0)
  assert.equal(asked, 1, 'what the screen does not show is not asked for')
})

test('a node whose book cannot be read in time is shown without it', async (t) => {
  const ledger = () => new Promise<never>(() => {})
  const keeper = await node(t, well(orchestratorStatus()), 'hush', { '/ledger': ledger })
  const { run, screens } = command()
  assert.equal(await run('--token', 'hush', keeper), 0)
  assert.match(screens[0]!, /NEEDS ATTENTION: nothing/)
  assert.doesNotMatch(screens[0]!, /LUCK/)
})

test('a node that does not answer, and one that asks for a token, need attention: the exit code is 1', async (t) => {
  const guarded = await node(t, well(redeemerStatus()), 'hush')
  const unused = `127.0.0.1:${await freePort()}`
  const { run, screens } = command()
  assert.equal(await run(guarded, unused), 1)
  const screen = screens[0]!.replace(/\s+/g, ' ')
  assert.ok(screen.includes(`! ${guarded} asks for a token: give --token`), screen)
  assert.match(screen, new RegExp(`! ${unused} does not answer \\(.*ECONNREFUSED.*\\): start the node`))
})

test('the token comes from the command line, a file or the environment', async (t) => {
  const guarded = await node(t, well(redeemerStatus()), 'hush')
  assert.equal(await command().run('--token', 'hush', guarded), 0)
  assert.equal(await command({ files: { '/run/token': 'hush\n' } }).run('-token', '/run/token', guarded), 0)
  assert.equal(await command({ variables: { LP_CLITOKEN: 'hush' } }).run(guarded), 0)
  const wrong = command()
  assert.equal(await wrong.run('--token', 'hus', guarded), 1)
  assert.match(wrong.screens[0]!.replace(/\s+/g, ' '), /refuses the token: give --token/)
})

test('--watch redraws the screen until it is stopped, cut to the height of the terminal', async (t) => {
  let sessions = 1
  const address = await node(t, () => ({
    ...orchestratorStatus({ sessions: sessions++ }),
    nowMs: Date.now(),
  }))
  const { run, screens, stop } = command({ terminal: { rows: 200, columns: 100 } })
  const ended = run('--watch', '--interval', '1', address)
  await eventually('it is drawn twice', () => screens.length >= 3)
  stop.abort()
  assert.equal(await ended, 0)
  const [hidden, first, second] = screens
  assert.equal(hidden, '\x1b[?25l', 'the cursor does not flicker over the screen')
  for (const screen of [first!, second!])
    assert.ok(screen.startsWith('\x1b[H') && screen.endsWith('\x1b[J'), screen)
  assert.match(first!, /1 session ·/)
  assert.match(second!, /2 sessions ·/)
  assert.equal(screens.at(-1), '\x1b[?25h', 'the cursor is back')

  const low = command({ terminal: { rows: 10, columns: 40 } })
  const lowEnded = low.run('--watch', address)
  await eventually('it is drawn', () => low.screens.length === 2)
  low.stop.abort()
  await lowEnded
  const lines = low.screens[1]!.replaceAll('\x1b[K', '')
    .replace('\x1b[H', '')
    .replace('\x1b[J', '')
    .split('\n')
  assert.equal(lines.length, 10)
  assert.ok(lines.every((line) => line.length <= 40))
  assert.match(low.screens[1]!, /the rest does not fit the terminal/)
})

test('--watch writes one screen after the other into a pipe, and ends without an error when it is stopped', async (t) => {
  const address = await node(t, well(redeemerStatus()))
  const { errors, run, screens, stop } = command()
  const ended = run('--watch', '--interval=1', address)
  await eventually('it is written twice', () => screens.length >= 2)
  stop.abort()
  assert.equal(await ended, 0)
  assert.deepEqual(errors, [])
  for (const screen of screens) {
    assert.match(screen, /^livepeer status (.|\n)*\n\n$/)
    assert.ok(!screen.includes('\x1b'))
  }
})

test('--json prints what the nodes answered', async (t) => {
  const status = redeemerStatus({ nowMs: Date.now() })
  const address = await node(t, () => status)
  const unused = `127.0.0.1:${await freePort()}`
  const { run, screens } = command()
  assert.equal(await run('--json', address, unused), 1)
  const [first, second] = JSON.parse(screens[0]!)
  assert.deepEqual(first, { address, status: JSON.parse(bodyOf(status)) })
  assert.equal(second.address, unused)
  assert.match(second.error, /ECONNREFUSED/)
})

test('an endless answer is given up', async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16, 'x')));
    }
    response.on('drain', more)
    more()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { run, screens } = command()
  assert.equal(await run(`127.0.0.1:${(server.address() as AddressInfo).port}`), 1)
  assert.match(screens[0]!.replace(/\s+/g, ' '), /its answer is longer than 4194304 bytes/)
})

test('a bad command line ends with one sentence and exit code 2', async () => {
  for (const [argv, sentence] of [
    [['--wach'], /^Unknown option '--wach': livepeer status --help explains\n$/],
    [['--watch', '--json'], /^--watch and --json do not go together: livepeer status --help explains\n$/],
    [['nohost'], /^the address nohost has no port: write HOST:PORT, such as nohost:7935: livepeer/],
    [['[::1]'], /^the address \[::1\] has no port: write HOST:PORT, such as \[::1\]:7935: livepeer/],
    [
      ['::1:7935'],
      /^the address "http:\/\/::1:7935" has an IPv6 address without brackets: write http:\/\/\[::1\]:7935: live/,
    ],
    [['http://::1:7935'], /without brackets: write http:\/\/\[::1\]:7935: livepeer/],
    [['--token', 'two words', 'a:1'], /^--token is one word/],
    [['--interval', '5', 'a:1'], /^--interval goes with --watch: livepeer status --help explains\n$/],
    [['--watch', '--interval', '0'], /^--interval is a number of seconds from 1 to 3600, not 0: livepeer/],
    [['--watch', '--interval', '1h'], /^--interval is a number of seconds from 1 to 3600, not 1h: livepeer/],
  ] as const) {
    const { errors, run, screens } = command()
    assert.equal(await run(...argv), 2, argv.join(' '))
    assert.deepEqual(screens, [])
    assert.match(errors.join(), sentence)
  }
  const { run, screens } = command()
  assert.equal(await run('--help'), 0)
  assert.match(screens[0]!, /^Usage: livepeer status/)
})
