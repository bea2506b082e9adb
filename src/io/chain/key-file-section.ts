import { parseHex } from '../../lib/bytes.ts'
import { quoted } from '../../lib/printable.ts'

/** The longest text in a key file. */
const MAX_TEXT_CHARS = 2_048
const MAX_SHOWN_CHARS = 40

/**
 * A section of a key file. Wallets write its names in any case, and numbers as text too. What is missing, or is something
 * else, is an Error that says which part of the standard that is.
 */
export class KeyFileSection {
  readonly #path: string
  readonly #fields: ReadonlyMap<string, unknown>

  private constructor(path: string, fields: object) {
    this.#path = path
    const all = Object.entries(fields)
    // The standard's own spelling takes precedence.
    const standard = all.filter(([name]) => name === name.toLowerCase())
    this.#fields = new Map([...all.map(([name, value]) => [name.toLowerCase(), value] as const), ...standard])
  }

  /** The whole file. */
  static of(text: string): KeyFileSection {
    // Some Windows editors write a byte order mark.
    const value = parseJson(text.replace(/^\ufeff/, ''))
    if (!isSection(value)) throw new Error('it is JSON, but not an object')
    return new KeyFileSection('', value)
  }

  /** Whether the section has this name. */
  has(name: string): boolean {
    return ![undefined, null, ''].includes(this.#fields.get(name) as undefined)
  }

  section(name: string): KeyFileSection {
    const value = this.#value(name)
    if (!isSection(value)) throw new Error(`its ${this.#called(name)} is not an object`)
    return new KeyFileSection(this.#pathOf(name), value)
  }

  text(name: string): string {
    const value = this.#value(name)
    if (typeof value !== 'string' || value.length > MAX_TEXT_CHARS) {
      throw new Error(`its ${this.#called(name)} is not text, or too long`)
    }
    return value
  }

  /** The name of a method, in lower case. */
  method(name: string): string {
    return this.text(name).trim().toLowerCase()
  }

  hex(name: string): Uint8Array {
    const text = this.text(name).trim()
    try {
      return parseHex(text)
    } catch {
      throw new Error(`its ${this.#called(name)} is not hexadecimal`)
    }
  }

  /** A whole number, or the text of one. */
  whole(name: string): number {
    const value = this.#value(name)
    const number = typeof value === 'string' && /^\s*\d{1,15}\s*$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isSafeInteger(number)) return number
    throw new Error(`its ${this.#called(name)} is not a whole number`)
  }

  /** The error about a value, which may be shown. */
  refuse(name: string, why: string): Error {
    const shown = quoted(String(this.#value(name)).slice(0, MAX_SHOWN_CHARS))
    return new Error(`its ${this.#called(name)} is ${shown}, ${why}`)
  }

  #value(name: string): unknown {
    if (this.#fields.has(name)) return this.#fields.get(name)
    throw new Error(`it has no ${this.#called(name)}`)
  }

  #pathOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  #called(name: string): string {
    return `"${this.#pathOf(name)}"`
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('it is not JSON')
  }
}

function isSection(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
