import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const PROGRAM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path)) ?? null

/** Why tests in a browser are skipped; false where it is there. */
export const WITHOUT_BROWSER = PROGRAM === null ? 'Chromium is not installed' : false

/** A fault of accessibility: what is wrong, and where. */
export interface AxeFault {
  readonly id: string
  readonly impact: string | null
  readonly nodes: readonly string[]
}

/** A page of a test, and what it did that it must not do. */
export class WatchedPage implements AsyncDisposable {
  readonly page: Page
  /** Errors that the page wrote or threw. */
  readonly errors: string[] = []
  /** Requests to another host than that of the page. */
  readonly strangers: string[] = []

  constructor(page: Page, url: string) {
    this.page = page
    const { host } = new URL(url)
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.errors.push(message.text())
    })
    page.on('pageerror', (error) => this.errors.push(String(error)))
    page.on('dialog', (dialog) => {
      this.errors.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('request', (request) => {
      const asked = new URL(request.url())
      if (asked.protocol !== 'blob:' && asked.host !== host) this.strangers.push(request.url())
    })
  }

  /** What axe-core finds that is serious or critical. */
  async axeFaults(): Promise<readonly AxeFault[]> {
    // Handed in from outside, since the page's policy takes no scripts from elsewhere.
    const isThere = await this.page.evaluate('typeof axe === "object"')
    if (!isThere) await this.page.evaluate(axeSource())
    const found = await this.page.evaluate<AxeFault[]>(
      `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
        violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ html }) => html.slice(0, 200)) })))`,
    )
    return found.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close()
  }
}

/** Chromium without a window, for the pages of one test. */
export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  static async start(): Promise<TestBrowser> {
    // As root it runs only without its sandbox; the pages are our own.
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
    const browser = await chromium.launch({ executablePath: PROGRAM!, args: [...args, '--disable-gpu'] })
    return new TestBrowser(browser)
  }

  /** Opens a page with storage of its own. */
  async open(url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    const watched = new WatchedPage(page, url)
    await page.goto(url)
    return watched
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}

let axe: string | null = null

function axeSource(): string {
  axe ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  return axe
}
