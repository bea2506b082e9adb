import type { IncomingMessage } from 'node:http'
import { ByteBudget, readBody } from '../../lib/request-body.ts'

/** The values of a request by name: of several, the first counts; those of the body count before those of the query. */
export type FormValues = ReadonlyMap<string, string>

/** The longest body that a route takes. */
const MAX_BODY_BYTES = 64 * 1024
const BODY_MS = 10_000
/** The methods whose bodies are read (operations.md §4). */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH'])
const budget = new ByteBudget(8 * 1024 * 1024)

/** A form that cannot be decoded, in the words that peers use (operations.md §4). */
export class FormError extends Error {
  override name = 'FormError'
}

/** The body of a request, if it is one of a method that has one. Throws BodyError; the bytes are the caller's only for a moment. */
export async function readFormBody(request: IncomingMessage): Promise<Uint8Array> {
  if (!WITH_BODY.has(request.method ?? '')) {
    request.resume()
    return new Uint8Array(0)
  }
  const body = await readBody(request, {
    ...{ maxBytes: MAX_BODY_BYTES, stallMs: BODY_MS, totalMs: BODY_MS, budget },
  })
  budget.give(body.length)
  return body
}

/** The values of a request, from its body where that is a form, and its query. Throws FormError. */
export function formValues(request: IncomingMessage, body: Uint8Array): FormValues {
  const values = new Map<string, string>()
  const [type = '', parameters = ''] = splitOnce(request.headers['content-type'] ?? '', ';')
  if (WITH_BODY.has(request.method ?? '')) {
    const kind = type.trim().toLowerCase()
    if (kind === 'application/x-www-form-urlencoded') addPairs(values, Buffer.from(body).toString('latin1'))
    if (kind === 'multipart/form-data') addParts(values, body, parameters)
  }
  const at = request.url?.indexOf('?') ?? -1
  if (at >= 0) addPairs(values, request.url!.slice(at + 1).split('#', 1)[0]!)
  return values
}

function addPairs(values: Map<string, string>, text: string): void {
  for (const pair of text.split('&')) {
    if (pair === '') continue
    if (pair.includes(';')) throw new FormError('invalid semicolon separator in query')
    const [name, value] = splitOnce(pair, '=')
    const key = decoded(name)
    const decodedValue = decoded(value ?? '')
    if (!values.has(key)) values.set(key, decodedValue)
  }
}

/** Reads the fields of a multipart body that are no files; one that is no such body has none. */
function addParts(values: Map<string, string>, body: Uint8Array, parameters: string): void {
  const [, quoted, plain] = /boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(parameters) ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined) return
  for (const part of Buffer.from(body).toString('latin1').split(`--${boundary}`).slice(1)) {
    const [head = '', content] = splitOnce(part, '\r\n\r\n')
    const [, name] = /content-disposition:[^\r\n]*;\s*name="([^"]*)"/i.exec(head) ?? []
    if (name === undefined || content === undefined || /filename=/i.test(head)) continue
    const text = Buffer.from(content.replace(/\r\n$/, ''), 'latin1').toString('utf8')
    if (!values.has(name)) values.set(name, text)
  }
}

function decoded(text: string): string {
  const bad = /%(?![0-9a-fA-F]{2}).{0,2}/s.exec(text)
  if (bad) throw new FormError(`invalid URL escape ${JSON.stringify(bad[0])}`)
  const bytes = text
    .replace(/\+/g, ' ')
    .replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

function splitOnce(text: string, by: string): [string, string | undefined] {
  const at = text.indexOf(by)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + by.length)]
}
