/** JSON on one line as the Go node writes it: integers of any size are bare numbers (operations.md §4). */
export function bareJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString()
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if ('toJSON' in value) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(bareJson).join(',')}]`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${bareJson(field)}`).join(',')}}`
}
