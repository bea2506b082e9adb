import { type Explanation, problems, refusals } from '../domain/explain.ts'

/** The content of docs/errors.md. */
export function errorsPage(): string {
  return `# Problems and refusals

Written by \`src/commands/write-docs.ts\` from the tables in \`src/domain/cause-table.ts\` and \`src/domain/refusal-table.ts\`; a test
checks that it is current. \`livepeer explain CODE|TEXT\` prints one row; a whole line of a log will do as the text.

## Problems

What keeps a node from part of its work: in the log by its title, in \`livepeer status\`, in \`/status\` and as \`livepeer_problem\`
by its code. The sentences are examples.

| Code | Title in the log | Side | For example | What to change |
| --- | --- | --- | --- | --- |
${problems()
  .map(({ change, means, name, side, title }) => row([`\`${name}\``, title!, side, means, change]))
  .join('\n')}

## Refusals

Texts with which peers, Go nodes among them, refuse payments, offers and segments.

| Text | Side | Means | What to change |
| --- | --- | --- | --- |
${refusals()
  .map(({ change, means, name, side }: Explanation) => row([`\`${name}\``, side, means, change]))
  .join('\n')}
`
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
