import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECRET_URLS, secretsIn } from '../../test/fakes/secret-urls.ts'
import { type Flag, flagNames, flags } from './flags.ts'
import { environmentName } from './load-flags.ts'
import { loadSettings } from './load-settings.ts'

const CHAIN = '-network devnet -ethController 0x0000000000000000000000000000000000000001 -ethUrl http://a'
const ROLES = [
  '-gateway',
  `${CHAIN} -gateway`,
  `${CHAIN} -orchestrator -transcoder -serviceAddr 127.0.0.1:8935 -pricePerUnit 1`,
  `${CHAIN} -redeemer`,
  '-transcoder -orchAddr a -orchSecret b',
]
const PATH = '/etc/livepeer.conf'

/** All that a node prints about settings: its refusal, or its first line and its warnings. */
function printedBy(argv: readonly string[], variables: Record<string, string> = {}, file = ''): string {
  const settings = loadSettings({
    ...{ argv, variables, homeDir: '/nowhere' },
    readText: (path) => (path === PATH && file !== '' ? file : null),
    about: { version: '1', runtime: 'v24', arch: 'x', platform: 'y' },
  })
  if ('exit' in settings) return `${settings.exit.stdout}${settings.exit.stderr}`
  return JSON.stringify([settings.printable(), settings.warnings, settings.secrets])
}

/** Of the forms that set a flag in another way, each is tried with these. */
const OFTEN = [SECRET_URLS[0]!, SECRET_URLS[4]!]

const texts = flagNames.filter((name) => {
  const { kind }: Flag = flags[name]
  return kind !== 'bool' && kind !== 'tri-bool'
})

for (const line of ROLES) {
  test(`no flag of ${line} prints what is secret in a URL, wherever it comes from and whether or not it belongs there`, () => {
    const argv = line.split(' ')
    const printed: string[] = []
    for (const name of texts) {
      for (const url of SECRET_URLS) {
        printed.push(printedBy([...argv, `-${name}`, url]))
        printed.push(printedBy([...argv, `-${name}=http://a,${url}`]))
      }
      for (const url of OFTEN) {
        printed.push(printedBy([...argv, `-${name}`, 'http://a', url]))
        printed.push(printedBy([...argv, `-${name}s`, url]))
        printed.push(printedBy([...argv, `-${name}${url}`]))
        printed.push(printedBy(argv, { [environmentName(name)]: url }))
        printed.push(printedBy([...argv, '-config', PATH], {}, `${name} ${url}\n`))
        printed.push(printedBy([...argv, '-config', PATH], {}, `${name}=${url}\n`))
      }
    }
    assert.deepEqual([...new Set(printed.filter((text) => secretsIn(text).length > 0))], [])
    assert.ok(printed.some((text) => text.includes('provider.example')))
  })
}
