import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { busyAnswers } from '../fakes/console-answers.ts'
import { ConsoleNode } from '../fakes/console-node.ts'
import { TestBrowser, WITHOUT_BROWSER } from '../net/browser.ts'
import { eventually } from './until.ts'

/** `npm run screenshots`: the pictures of the documents, of the console before the figures of an invented cluster. */

const FOLDER = fileURLToPath(new URL('../../docs/pictures/', import.meta.url))
const MAX_BYTES = 150_000
const PICTURES = [
  {
    name: 'console-overview',
    view: 'overview',
    colorScheme: 'light',
    viewport: { width: 1000, height: 760 },
  },
  { name: 'console-money', view: 'money', colorScheme: 'light', viewport: { width: 1000, height: 960 } },
  { name: 'console-nodes', view: 'nodes', colorScheme: 'dark', viewport: { width: 1000, height: 640 } },
  { name: 'console-phone', view: 'tickets', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
] as const

if (WITHOUT_BROWSER) throw new Error(WITHOUT_BROWSER)
await mkdir(FOLDER, { recursive: true })
await using browser = await TestBrowser.start()
await using node = await ConsoleNode.start(busyAnswers(Date.now(), 'atelier-4'))
node.live.hear({ kind: 'round-begun', round: 4000n })
node.live.hear({ kind: 'stream-begun', manifestId: 'movie', profiles: [] })
for (const { colorScheme, name, view, viewport } of PICTURES) {
  await using shown = await browser.open(`${node.url}#/${view}`, { colorScheme, viewport })
  await shown.page.getByText('live', { exact: true }).waitFor()
  await eventually('the figures', () =>
    shown.page.evaluate<boolean>('!/being (read|asked) …/.test(document.body.innerText)'),
  )
  const path = join(FOLDER, `${name}.png`)
  await shown.page.screenshot({ path })
  const { size } = await stat(path)
  console.log(`${name}.png: ${size} bytes`)
  if (size > MAX_BYTES) throw new Error(`${name}.png has more than ${MAX_BYTES} bytes`)
}
