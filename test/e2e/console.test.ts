import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Locator } from 'playwright-core'
import { Network } from '../../devnet/network.ts'
import { pushSegment } from '../../devnet/publisher.ts'
import { readAnswer } from '../../src/commands/status/answer.ts'
import { workChapters } from '../../src/commands/status/screen.ts'
import { ether } from '../../src/lib/amounts.ts'
import type { Hex } from '../../src/lib/bytes.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { busyAnswers, HOSTILE } from '../fakes/console-answers.ts'
import { ConsoleNode } from '../fakes/console-node.ts'
import { makeSegment } from '../media/media.ts'
import { TestBrowser, type WatchedPage, WITHOUT_BROWSER } from '../net/browser.ts'
import { eventually, until } from '../tools/until.ts'
import { EVERY_TICKET_WINS, TinyLoad, writeTinyProfiles } from './tiny-stream.ts'

/** The console in a real browser: on the figures of a busy cluster, and on a network with real tickets. */

const VIEWS = ['overview', 'nodes', 'tickets', 'money', 'chain']
const PHONE = { width: 390, height: 844 }
/** More blocks than params are valid for, and enough more to confirm a redemption. */
const PARAMS_LIFETIME = 45
const CONFIRMED = 14
const SEGMENTS = 6
/** The page without the player, which is loaded when something is played. */
const MAX_PAGE_BYTES = 300_000
/** A stream whose name is markup. */
const ODD_STREAM = '<img src=x onerror=alert(1)>'

describe('the console', { skip: WITHOUT_BROWSER }, () => {
  let browser: TestBrowser
  before(async () => {
    browser = await TestBrowser.start()
  })
  after(() => browser[Symbol.asyncDispose]())

  test('shows each view without a serious fault of accessibility, at two widths, dark and light', async () => {
    await using node = await ConsoleNode.start(busyAnswers(Date.now()))
    for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark', viewport: PHONE }] as const) {
      await using shown = await browser.open(node.url, options)
      for (const view of VIEWS) {
        await see(shown, view)
        assert.deepEqual(await shown.axeFaults(), [], `${view} ${options.colorScheme}`)
        const isWide = await shown.page.evaluate('document.documentElement.scrollWidth > innerWidth')
        assert.equal(isWide, false, `${view} ${options.colorScheme} fits the width`)
      }
      await shown.page.goto(`${node.url}#/tickets/0x${'b'.repeat(64)}`)
      await shown.page.getByText('What became of it').waitFor()
      assert.deepEqual(await shown.axeFaults(), [], `a ticket, ${options.colorScheme}`)
      assertClean(shown)
    }
    const loaded = await Promise.all(
      ['', 'console/main.js', 'console/main.css'].map(async (path) =>
        (await fetch(`${node.url}${path}`)).text(),
      ),
    )
    const bytes = loaded.reduce((sum, { length }) => sum + length, 0)
    assert.ok(bytes < MAX_PAGE_BYTES, `${bytes} bytes to load`)
  })

  test('shows texts of strangers as texts, is usable by keyboard, and asks for a retry only where one may help', async () => {
    const answers = busyAnswers(Date.now())
    await using node = await ConsoleNode.start(answers)
    await using shown = await browser.open(node.url)
    const { page } = shown
    await page.getByText('live', { exact: true }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Nodes', level: 2 }).waitFor()
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await page.getByText(`${HOSTILE} at 10.0.1.4:40188`).waitFor()
    assert.equal(await page.locator('main img').count(), 0)

    await see(shown, 'tickets')
    await page.getByRole('link', { name: '0xbbbbbbbbbbbb…' }).click()
    await page.getByText(`“${HOSTILE}”`).waitFor()
    await page.getByRole('button', { name: 'Try again now' }).click()
    await page.getByText('It is being tried again.').waitFor()
    assert.deepEqual(node.asked, ['/tickets/retry'])

    node.live.hear({ kind: 'stream-begun', manifestId: ODD_STREAM, profiles: [] })
    await see(shown, 'overview')
    await page.getByText(`the stream ${ODD_STREAM} began`).waitFor()
    await page
      .getByText('-maxSessions is 20, the command line says 10; kept over a restart', { exact: true })
      .waitFor()
    await page.getByText(/\/setMaxSessions maxSessions=20 persist=true from 127\.0\.0\.1 .*: done$/).waitFor()
    answers.status = { ...answers.status, ready: false, waitingFor: 'the chain' }
    node.live.hear({ kind: 'round-begun', round: 4001n })
    await page.getByText('is not ready and waits for the chain').waitFor()
    assertClean(shown)
  })

  test('asks for the token once, and keeps it where scripts cannot read it', async () => {
    await using node = await ConsoleNode.start(busyAnswers(Date.now()), { token: 'hush' })
    await using shown = await browser.open(node.url)
    const { page } = shown
    const field = page.getByLabel('The token of this node (-cliToken)')
    await field.fill('guess')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('that is not the token of -cliToken').waitFor()
    assert.deepEqual(await shown.axeFaults(), [])
    await field.fill('hush')
    await page.getByRole('button', { name: 'Open the console' }).click()
    await page.getByText('live', { exact: true }).waitFor()
    assert.equal(await page.evaluate('document.cookie + JSON.stringify(localStorage)'), '{}')
    await page.reload()
    await page.getByText('live', { exact: true }).waitFor()
    await page.goto(`${node.url}#/tickets/0x${'b'.repeat(64)}`)
    await page.getByRole('button', { name: 'Try again now' }).click()
    await page.getByText('It is being tried again.').waitFor()
    // What the browser itself writes of the two refusals.
    const refusals = shown.errors.filter((error) => /status of 40[13]/.test(error))
    assert.deepEqual([shown.errors.length - refusals.length, shown.strangers], [0, []])
  })

  test('shows what chain and store say, plays a stream, and shows within 5 s that a node was killed', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'livepeer-console-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
    await using network = await Network.prepare({
      setup: 'redeemer',
      roundLength: 1_000n,
      orchestratorFlags: EVERY_TICKET_WINS.orchestrator,
      gatewayFlags: ['-transcodingOptions', profiles],
      logFolder: join(folder, 'logs'),
    })
    const { anvil, gateway, orchestrator, protocol } = network
    await network.start()
    await using owner = await browser.open(`http://${orchestrator.command.control}/`)
    await using viewer = await browser.open(`http://${gateway.command.control}/#/streams`)
    {
      await using load = await TinyLoad.start(network.urls.gateway, 1, { pauseMs: 100 })
      await until(async () => (load.served >= SEGMENTS ? true : null), `${SEGMENTS} segments`)
      await pushOddStream(network.urls.gateway)
      await viewer.page.getByRole('rowheader', { name: ODD_STREAM, exact: true }).waitFor()
      await viewer.page.getByText('source, tiny').first().waitFor()
      await viewer.page.getByRole('button', { name: 'Play tiny0' }).click()
      await holds(viewer, 'document.querySelector("video")?.currentTime > 0.2')
      await viewer.page.getByLabel('Rendition').selectOption('tiny')
      assert.deepEqual(await viewer.axeFaults(), [])
      await see(owner, 'overview')
      await owner.page.getByText('won a ticket of').first().waitFor()
    }
    assert.equal(await viewer.page.locator('main img').count(), 0)
    assertClean(viewer)

    await anvil.mine(PARAMS_LIFETIME)
    const status = () => orchestrator.status<NodeStatus>()
    const isRedeemed = async () => {
      const { won } = (await status()).tickets!
      return (await protocol.redemptions()).distinct === won ? won : null
    }
    const won = await until(isRedeemed, 'the redemptions')
    await anvil.mine(CONFIRMED)
    await until(async () => ((await status()).tickets!.redeemed === won ? true : null), 'their confirmation')
    const { paid } = await protocol.redemptions()

    const { page } = owner
    /** Checks that the transaction whose hash is shown is in a block, and did not fail. */
    const isMined = async (place: Locator) => {
      const [hash] = /0x[0-9a-f]{64}/.exec((await place.textContent())!) ?? []
      const receipt = await anvil.request<{ status: string }>('eth_getTransactionReceipt', [hash])
      assert.equal(receipt.status, '0x1', hash)
    }
    await see(owner, 'money')
    const row = page.getByRole('region', { name: 'Earned and spent' }).getByRole('row')
    await row.filter({ hasText: 'redeemed' }).getByText(ether(paid)).first().waitFor()
    const { money } = await status()
    const ever = BigInt(money!.ever.receivedWei)
    await row.filter({ hasText: 'expected value received' }).getByText(ether(ever)).first().waitFor()
    await page.getByText(`${ether(paid)} was won with ${won} of`).waitFor()

    const rewards = page.getByRole('region', { name: 'Rewards of the last rounds' })
    await rewards.getByText('LPT').first().waitFor()
    await isMined(rewards.getByText(/0x[0-9a-f]{64}/).first())

    await see(owner, 'tickets')
    const board = page.getByRole('region', { name: 'Winning tickets, the newest first' })
    await until(
      async () => ((await board.getByText('redeemed').count()) === won ? true : null),
      'all tickets',
    )
    await board.getByRole('link').first().click()
    await isMined(page.getByText(/was redeemed, transaction 0x[0-9a-f]{64}, in block \d+/))

    await see(owner, 'chain')
    const { account, rounds } = (await status()).chain!
    await page.getByText(`Round ${rounds!.current}`).first().waitFor()
    const balances = page.getByRole('region', { name: 'Balances' })
    const held = await anvil.request<Hex>('eth_getBalance', [account, 'latest'])
    await balances.getByText(ether(BigInt(held)), { exact: true }).waitFor()
    await balances.getByText(/about \d+ rounds of rewards/).waitFor()
    const endpoint = page.getByRole('region', { name: 'RPC endpoints' }).getByRole('row').nth(1)
    await endpoint.getByText(/^healthy for /).waitFor()
    await endpoint.getByText('none', { exact: true }).waitFor()
    // The page is read every few seconds, and blocks come every second: it follows them, some behind.
    const head = BigInt(await anvil.request<Hex>('eth_blockNumber'))
    await until(async () => {
      const numbers = await endpoint.getByText(/^\d+$/).allTextContents()
      return numbers.some((text) => BigInt(text) >= head) ? true : null
    }, 'the newest block of the endpoint')
    await see(viewer, 'chain')
    const { funds } = await gateway.status<NodeStatus>()
    const deposit = viewer.page.getByRole('row').filter({ hasText: 'deposit' })
    await deposit.getByText(ether(BigInt(funds!.depositWei)), { exact: true }).waitFor()
    await deposit.getByText(/^about \d+ (min|h|days)/).waitFor()

    await see(owner, 'overview')
    const seen = readAnswer(orchestrator.command.control, await asText(await status()), {
      atMs: Date.now(),
      withToken: false,
    })
    assert.equal(seen.kind, 'status')
    const said = workChapters(seen.kind === 'status' ? [seen] : [])
    const [redeems] = said[0]!.lines[0]!.slice(1) as [string]
    await page.getByText(redeems.replace(/ \(.*/, '')).waitFor()
    await page.getByText('Nothing needs attention.').waitFor()

    await see(owner, 'nodes')
    const redeemer = network.of('redeemer')[0]!
    const inTable = page.getByRole('row').filter({ hasText: redeemer.address! })
    await inTable.getByText('ready', { exact: true }).waitFor()
    await redeemer.process.kill()
    await inTable.getByText('away', { exact: true }).waitFor({ timeout: 5_000 })
    await page.getByText('has not reached its redeemer').waitFor({ timeout: 5_000 })
    assertClean(owner)
  })
})

/** Follows the link to a view, and waits until its figures are there. */
async function see(shown: WatchedPage, view: string): Promise<void> {
  const { page } = shown
  const title = `${view[0]!.toUpperCase()}${view.slice(1)}`
  const link = page.getByRole('navigation').getByRole('link', { name: title })
  await link.click()
  await page.getByRole('heading', { name: title, level: 2 }).waitFor()
  await holds(shown, '!/being (read|asked) …/.test(document.body.innerText)')
}

/** Waits until an expression is true in the page. Asked from here: the page's policy evaluates no texts. */
function holds({ page }: WatchedPage, expression: string): Promise<void> {
  return eventually(expression, () => page.evaluate<boolean>(expression))
}

function assertClean({ errors, strangers }: WatchedPage): void {
  assert.deepEqual([errors, strangers], [[], []])
}

/** As the control API sends it. */
async function asText(status: NodeStatus): Promise<{ httpStatus: number; body: string }> {
  return { httpStatus: 200, body: JSON.stringify(status) }
}

async function pushOddStream(gateway: string): Promise<void> {
  const bytes = await makeSegment({ width: 160, height: 90, fps: 10, durationMs: 1_000 })
  const pushed = await pushSegment(gateway, encodeURIComponent(ODD_STREAM), {
    seq: 0,
    bytes,
    durationMs: 1_000,
  })
  assert.equal(pushed.status, 200, pushed.text)
}
