import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { PROGRAMS } from '../../lib/program-files.ts'
import type { ControlAnswer } from './control-route.ts'

/** Made by `bin/bundle.ts`, whether the node itself runs from the bundle or from its sources. */
const FOLDER = join(dirname(PROGRAMS), 'dist', 'console')
const PAGE = 'index.html'
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/**
 * What the console's files may do in a browser: load scripts, styles, pictures and data from this node alone, and play what
 * its scripts put together. No text becomes code or markup, no other page shows it in a frame, no form goes elsewhere.
 */
const POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
  ...["media-src 'self' blob:", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"],
  ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
].join('; ')

const HEADERS = {
  'content-security-policy': POLICY,
  'cache-control': 'no-cache',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const NOT_BUILT =
  'The console has not been built here: npm run bundle does that. The figures are at /status and in livepeer status.\n'

/** The files of the console, read when they are first asked for. */
export class ConsoleFiles {
  readonly #folder: string
  #files: ReadonlyMap<string, Buffer> | null = null

  constructor(folder = FOLDER) {
    this.#folder = folder
  }

  /** The page itself. */
  page(): ControlAnswer {
    const file = this.#read().get(PAGE)
    return file ? answerOf(PAGE, file) : { text: NOT_BUILT, headers: HEADERS }
  }

  /** A file that the page loads. */
  file(name: string): ControlAnswer {
    const file = this.#read().get(name)
    return file ? answerOf(name, file) : { text: '404 page not found\n', status: 404 }
  }

  #read(): ReadonlyMap<string, Buffer> {
    this.#files ??= new Map(
      namesIn(this.#folder)
        .filter((name) => TYPES[extname(name)])
        .map((name) => [name, readFileSync(join(this.#folder, name))]),
    )
    return this.#files
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function answerOf(name: string, bytes: Buffer): ControlAnswer {
  return { bytes, type: TYPES[extname(name)]!, headers: HEADERS }
}
