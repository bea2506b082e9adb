import type { ComponentChildren } from 'preact'

/** A column of a table. */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
}

/** A table that scrolls by itself where the page is narrow; its first column names the rows. */
export function Table<Row>({
  caption,
  columns,
  empty,
  keyOf,
  rows,
}: {
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  /** What is said where there are no rows. */
  readonly empty: string
  readonly keyOf: (row: Row) => string
  readonly rows: readonly Row[]
}) {
  const [first, ...others] = columns
  if (rows.length === 0) {
    return (
      <p class="empty">
        {caption}: {empty}
      </p>
    )
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has no pointer scrolls it by the keyboard.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ isNumber, title }) => (
              <th scope="col" key={title} class={isNumber ? 'number' : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              <th scope="row">{first?.cell(row)}</th>
              {others.map(({ cell, isNumber, title }) => (
                <td key={title} class={isNumber ? 'number' : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** A state in a word, with a mark of its colour. */
export function State({ tone, word }: { readonly tone: 'good' | 'bad' | 'plain'; readonly word: string }) {
  return <span class={`state ${tone}`}>{word}</span>
}
