/*
 * Texts of others on their way to a terminal or a log: control characters could move the cursor, colour or hide what is
 * written, or begin a line that nobody wrote; marks of direction turn texts round; what cannot be seen tells lies.
 */

/** Controls, marks of direction and other invisible characters, line and paragraph separators, halves of characters. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu
const HAS_UNPRINTABLE = new RegExp(UNPRINTABLE.source, 'u')

/** The text with every unprintable character as `\n`, `\u001b` or the like, as JSON has it. */
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

/** The text in quotes, as JSON has it, without any unprintable character. */
export function quoted(text: string): string {
  return escaped(JSON.stringify(text))
}

/** The text as it is where all of it can be printed, otherwise in quotes; also where it could be taken for a quoted one. */
export function quotedIfNeeded(text: string): string {
  return HAS_UNPRINTABLE.test(text) || text.startsWith('"') ? quoted(text) : text
}

/** The text, cut where it is longer than so many characters; how long it was is said. */
export function cutTo(most: number, text: string): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`
}
