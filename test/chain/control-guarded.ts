import type { LocalNode } from './control-nodes.ts'

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: { required?: string[] } }>> }
  readonly parameters?: readonly { readonly name: string; readonly required: boolean }[]
}

/** The paths that a node says it has, with what each needs. */
export async function pathsOf(
  node: LocalNode,
): Promise<readonly { path: string; changes: boolean; takesGet: boolean; needs: readonly string[] }[]> {
  const { paths } = await node.json<{ paths: Record<string, { get?: Operation; post?: Operation }> }>(
    '/openapi.json',
  )
  return Object.entries(paths).map(([path, { get, post }]) => {
    const [body] = Object.values(post?.requestBody?.content ?? {})
    const inQuery = (get?.parameters ?? []).filter(({ required }) => required).map(({ name }) => name)
    const needs = body?.schema.required ?? inQuery
    return { path, changes: post !== undefined, takesGet: get !== undefined, needs }
  })
}

/** What is wrong with how a node answers pages, strange names, wrong methods and incomplete requests, at each of its paths. */
export async function guardFaults(node: LocalNode): Promise<string[]> {
  const faults: string[] = []
  const expect = async (
    [method, path]: readonly [method: string, path: string],
    headers: Readonly<Record<string, string>>,
    [status, text]: readonly [status: number, text: RegExp],
  ) => {
    const answered = await node.ask(method, path, { headers })
    const isText = answered.type === 'text/plain; charset=utf-8'
    if (answered.status === status && isText && text.test(answered.text)) return
    faults.push(`${method} ${path} ${JSON.stringify(headers)}: ${answered.status} ${answered.text}`)
  }
  for (const { changes, needs, path, takesGet } of await pathsOf(node)) {
    const right = changes ? 'POST' : 'GET'
    const foreign = [403, /^pages of another site may not ask here\n$/] as const
    await expect([right, path], { origin: 'https://evil.example' }, foreign)
    await expect([right, path], { 'sec-fetch-site': 'cross-site' }, foreign)
    await expect([right, path], { host: 'evil.example' }, [403, /^unknown host/])
    if (changes) {
      const wrong = [405, /^only POST is answered here\n$/] as const
      for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS'].slice(takesGet ? 1 : 0)) {
        await expect([method, path], {}, wrong)
      }
    }
    if (needs.length === 0) continue
    const { status, text } = await node.ask(right, path)
    const isNamed = status === 400 && text === `missing form param: ${needs[0]}\n`
    if (!isNamed && !(status === 500 && text === 'missing ETH client\n')) {
      faults.push(`${path} without ${needs[0]}: ${status} ${text}`)
    }
  }
  return faults
}
