import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Network } from '../../devnet/network.ts'
import type { NodeStatus } from '../../src/node/status/status.ts'
import { TinyLoad, writeTinyProfiles } from '../e2e/tiny-stream.ts'
import { TestBrowser, WITHOUT_BROWSER } from '../net/browser.ts'
import { eventually, until } from './until.ts'

/** `npm run screenshots:devnet`: the picture and the screen of the README, of a cluster with real tickets on a real chain. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = join(ROOT, 'README.md')
const PICTURE = join(ROOT, 'docs/pictures/console-devnet.png')
const MAX_BYTES = 150_000
const STREAMS = 3
const SEGMENTS = 60
const REDEEMED = 3
/** More blocks than params are valid for. */
const PARAMS_LIFETIME = 45
/** A tiny segment costs about one ticket, and one in five wins. */
const PRICE = ['-pricePerUnit', '70000000000', '-ticketEV', '10000000000000000']
const FACE_VALUE = ['-maxFaceValue', '50000000000000000']

if (WITHOUT_BROWSER) throw new Error(WITHOUT_BROWSER)
const folder = await mkdtemp(join(tmpdir(), 'livepeer-pictures-'))
try {
  await pictures()
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function pictures(): Promise<void> {
  const profiles = await writeTinyProfiles(join(folder, 'profiles.json'))
  await using network = await Network.prepare({
    ...{ setup: 'cluster', clustered: 2, roundLength: 1_000n, logFolder: join(folder, 'logs') },
    orchestratorFlags: [...PRICE, ...FACE_VALUE],
    gatewayFlags: ['-transcodingOptions', profiles],
    gatewayFunds: 50n * 10n ** 18n,
  })
  await network.start()
  const { anvil, gateway } = network
  const [orchestrator] = network.of('orchestrator')
  const status = () => orchestrator!.process.status<NodeStatus>()
  await using load = await TinyLoad.start(network.urls.gateway, STREAMS, { pauseMs: 500 })
  await eventually(`${SEGMENTS} segments`, () => load.served >= SEGMENTS, 120_000)
  await anvil.mine(PARAMS_LIFETIME)
  // The streams go on, and with them the chain needs further blocks.
  await until(
    async () => {
      await anvil.mine(2)
      return ((await status()).tickets?.redeemed ?? 0) >= REDEEMED ? true : null
    },
    `${REDEEMED} redeemed tickets`,
    120_000,
  )
  await using browser = await TestBrowser.start()
  const control = orchestrator!.process.command.control
  const viewport = { width: 1000, height: 760 }
  await using shown = await browser.open(`http://${control}/#/overview`, { viewport })
  await shown.page.getByText('live', { exact: true }).waitFor()
  await shown.page.getByText('won a ticket of').first().waitFor({ timeout: 60_000 })
  await shown.page.screenshot({ path: PICTURE })
  const { size } = await stat(PICTURE)
  console.log(`${PICTURE}: ${size} bytes`)
  if (size > MAX_BYTES) throw new Error(`the picture has more than ${MAX_BYTES} bytes`)

  const asked = [control, gateway.command.control]
  const run = promisify(execFile)
  const bin = join(ROOT, 'bin/livepeer')
  const { stdout } = await run(bin, ['status', ...asked]).catch((error: { stdout: string }) => error)
  const readme = await readFile(README, 'utf8')
  const screen = `\`\`\`text\n$ livepeer status ${asked.join(' ')}\n${stdout.trimEnd()}\n\`\`\``
  const written = readme.replace(/^```text\n\$ livepeer status .*?^```$/ms, () => screen)
  if (written === readme) throw new Error('README.md has no screen of livepeer status to replace')
  await writeFile(README, written)
}
