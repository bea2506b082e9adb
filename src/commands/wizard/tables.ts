/** A row of facts: a name, which may have several lines, and its value. */
export type Fact = readonly [name: string, value: string]

/** A title in a box. */
export function titleBox(title: string): string {
  const line = `+${'-'.repeat(title.length)}+`
  return `${line}\n|${title}|\n${line}\n`
}

/** Facts, one below the other. */
export function factTable(facts: readonly Fact[]): string {
  const rows = facts.flatMap(([name, value]) => {
    const [first = '', ...more] = name.split('\n')
    return [[[first, value], ...more.map((line) => [line, ''])]]
  })
  const lines = rows.flat()
  const widths = [0, 1].map((column) => Math.max(0, ...lines.map((cells) => cells[column]!.length)))
  const border = `*${widths.map((width) => '-'.repeat(width + 2)).join('*')}*\n`
  const text = rows.map((row) =>
    row.map((cells) => `|${cells.map((cell, i) => ` ${cell.padStart(widths[i]!)} `).join('|')}|\n`).join(''),
  )
  return `${border}${text.map((row) => `${row}${border}`).join('')}`
}

/** Rows below their heads; columns of numbers stand at the right. */
export function listTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)))
  const isNumber = heads.map((_, i) => rows.every((row) => /^[\d.]*$/.test(row[i]!)))
  const border = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+\n`
  const line = (cells: readonly string[], right: readonly boolean[]) =>
    `|${cells.map((cell, i) => ` ${right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)} `).join('|')}|\n`
  const none = heads.map(() => false)
  return `${border}${line(heads, none)}${border}${rows.map((row) => line(row, isNumber)).join('')}${rows.length > 0 ? border : ''}`
}
