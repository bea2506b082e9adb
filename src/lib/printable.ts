/*
 * Prepares texts from peers for a terminal or a log. Control characters could move the cursor, hide text or fake a log
 * line, direction marks reverse text, and invisible characters mislead.
 */

/** Controls, direction marks and other invisible characters, line and paragraph separators, lone surrogates. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu
const HAS_UNPRINTABLE = new RegExp(UNPRINTABLE.source, 'u')

/** Whether the text has only characters that can be shown as they are. */
export function isPrintable(text: string): boolean {
  return !HAS_UNPRINTABLE.test(text)
}

/** The text without unprintable characters. */
export function withoutUnprintable(text: string): string {
  return text.replace(UNPRINTABLE, '')
}

/** The text with every unprintable character escaped as in JSON: `\n`, `\u001b`. */
export function escaped(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const short = SHORT[character]
    if (short !== undefined) return short
    return Array.from({ length: character.length }, (_, i) => {
      return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
    }).join('')
  })
}

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The text as a JSON string without any unprintable character. */
export function quoted(text: string): string {
  return escaped(JSON.stringify(text))
}

/** The text unchanged if it is printable, otherwise quoted. A text that looks quoted is quoted too. */
export function quotedIfNeeded(text: string): string {
  return HAS_UNPRINTABLE.test(text) || text.startsWith('"') ? quoted(text) : text
}

/** The text cut to `most` characters, with its full length appended when it was longer. */
export function cutTo(most: number, text: string): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`
}
