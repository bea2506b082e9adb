/** The text with the parameters as the database names them. */
export function numbered(text: string, shared: boolean): string {
  let count = 0
  return shared ? text.replaceAll('?', () => `$${++count}`) : text
}
