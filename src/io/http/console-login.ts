import { createHmac } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { equalTexts } from '../../lib/crypto.ts'

/** How long a browser is known after the token was shown. */
const LASTS_MS = 30 * 24 * 60 * 60_000
/** The longest `Cookie` header that is read. */
const MAX_COOKIES = 8 * 1024
const SIGNATURE_DIGITS = 64
const NAME_DIGITS = 12

/**
 * The cookie that stands for the token in a browser, which scripts of the page cannot read: its end, signed with the token.
 * So it shows the token to nobody, holds across a restart, and ends when the token is changed. Its name depends on the
 * token, since browsers share cookies between all ports of a host.
 */
export class ConsoleLogin {
  readonly #token: string
  readonly #clock: Clock
  readonly #name: string

  constructor(token: string, needs: { readonly clock: Clock }) {
    this.#token = token
    this.#clock = needs.clock
    this.#name = `livepeer-${this.#signed('the name of the cookie').slice(0, NAME_DIGITS)}`
  }

  /** Whether this is the token. */
  isToken(shown: string): boolean {
    return this.#token !== '' && equalTexts(shown, this.#token)
  }

  /** The `Set-Cookie` of a browser that has shown the token; `isSecure` where it came over TLS. */
  cookie({ isSecure }: { readonly isSecure: boolean }): string {
    const end = (this.#clock.now() + LASTS_MS).toString(36)
    return this.#spelled(`${end}.${this.#signed(end)}`, LASTS_MS / 1000, isSecure)
  }

  /** The `Set-Cookie` that makes a browser forget it. */
  ended({ isSecure }: { readonly isSecure: boolean }): string {
    return this.#spelled('', 0, isSecure)
  }

  /** Whether a `Cookie` header has the cookie, and it has not ended. */
  shows(cookies: string | undefined): boolean {
    if (this.#token === '' || cookies === undefined || cookies.length > MAX_COOKIES) return false
    return cookies.split(';').some((cookie) => {
      const [name, value = ''] = cookie.trim().split('=', 2)
      const [, end = '', signature = ''] = /^([0-9a-z]{1,11})\.([0-9a-f]+)$/.exec(value) ?? []
      if (name !== this.#name || signature.length !== SIGNATURE_DIGITS) return false
      return equalTexts(signature, this.#signed(end)) && Number.parseInt(end, 36) > this.#clock.now()
    })
  }

  #spelled(value: string, seconds: number, isSecure: boolean): string {
    const attributes = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict`
    return `${this.#name}=${value}; ${attributes}${isSecure ? '; Secure' : ''}`
  }

  #signed(text: string): string {
    return createHmac('sha256', this.#token).update(`livepeer console ${text}`).digest('hex')
  }
}
