/** Cuts a stream of JSON objects that nothing separates (as Ethereum nodes write them to IPC sockets) into whole texts. */
export class JsonSplitter {
  readonly #maxLength: number
  #text = ''
  /** How far the text has been scanned, and the state there. */
  #at = 0
  #depth = 0
  #inString = false
  #isEscaped = false

  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /** The complete objects so far. Throws when one is longer than allowed. */
  take(chunk: string): string[] {
    this.#text += chunk
    const whole: string[] = []
    let start = 0
    for (; this.#at < this.#text.length; this.#at++) {
      if (!this.#endsAt(this.#text[this.#at]!)) continue
      whole.push(this.#text.slice(start, this.#at + 1))
      start = this.#at + 1
    }
    this.#text = this.#text.slice(start)
    this.#at -= start
    if (this.#text.length > this.#maxLength) throw new Error('a text is too long')
    return whole
  }

  /** Whether an object or array ends with this character. */
  #endsAt(character: string): boolean {
    if (this.#inString) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (character === '\\') this.#isEscaped = true
      else if (character === '"') this.#inString = false
      return false
    }
    if (character === '"') this.#inString = true
    else if (character === '{' || character === '[') this.#depth++
    else if (character === '}' || character === ']') return --this.#depth === 0
    return false
  }
}
