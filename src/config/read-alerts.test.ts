import assert from 'node:assert/strict'
import { test } from 'node:test'
import { secretsIn, secretUrlsAt } from '../../test/fakes/secret-urls.ts'
import { loadSettings } from './load-settings.ts'

const FILE = 'https://a.example/sEcReTKeY0\n\nslack+https://b.example/sEcReTToKeN\n'

function load(argv: readonly string[], variables: Record<string, string> = {}) {
  return loadSettings({
    ...{ argv: ['-gateway', '-orchAddr', 'o.example', ...argv], variables, homeDir: '/nowhere' },
    readText: (path) => (path === '/etc/alerts' ? FILE : null),
    about: { version: '1', runtime: 'v24', arch: 'x', platform: 'y' },
  })
}

function settingsOf(argv: readonly string[], variables: Record<string, string> = {}) {
  const settings = load(argv, variables)
  assert.ok(!('exit' in settings), 'exit' in settings ? settings.exit.stderr : '')
  return settings
}

const formsOf = (argv: readonly string[], variables: Record<string, string> = {}) =>
  settingsOf(argv, variables).secrets.alertTargets.map(({ form, url }) => `${form} ${url}`)

test('alerts go to each URL, given several times, with commas, in a variable or in a file', () => {
  assert.deepEqual(formsOf([]), [])
  assert.deepEqual(
    formsOf(['-alert', 'http://a.example/x', '-alert', 'discord+https://b.example, http://c.example']),
    ['webhook http://a.example/x', 'discord https://b.example/', 'webhook http://c.example/'],
  )
  assert.deepEqual(formsOf([], { LP_ALERT: 'http://a.example,http://a.example' }), [
    'webhook http://a.example/',
  ])
  const fromFile = ['webhook https://a.example/sEcReTKeY0', 'slack https://b.example/sEcReTToKeN']
  assert.deepEqual(formsOf(['-alert', '/etc/alerts']), fromFile)
  assert.deepEqual(formsOf(['-alert', 'http://c.example'], { LP_ALERT: 'http://a.example' }), [
    'webhook http://c.example/',
  ])
})

test('a URL on the command line is warned of where it may hold a secret, and nothing prints it', () => {
  const warned = (argv: string[], variables = {}) =>
    settingsOf(argv, variables).warnings.filter((text) => text.includes('every user of this machine')).length
  assert.equal(warned(['-alert', 'https://hooks.example/sEcReTKeY0']), 1)
  assert.equal(warned(['-alert', 'alertmanager+http://am.example:9093']), 0)
  assert.equal(warned(['-alert', '/etc/alerts']), 0)
  assert.equal(warned([], { LP_ALERT: 'https://hooks.example/sEcReTKeY0' }), 0)
  for (const url of [...secretUrlsAt('a.example', 'https'), ...secretUrlsAt('a.example', 'teams+https')]) {
    const settings = load(['-alert', url])
    const printed =
      'exit' in settings
        ? settings.exit.stderr
        : JSON.stringify([settings.printable(), settings.warnings, settings.secrets])
    assert.deepEqual(secretsIn(printed), [], printed)
  }
})

test('what is no target is refused in a sentence', () => {
  const refused = (argv: readonly string[]) => {
    const settings = load(argv)
    assert.ok('exit' in settings)
    return settings.exit.stderr.trim()
  }
  assert.match(
    refused(['-alert', 'http://a.example,teams+https://b.example']),
    /entry 2 of -alert is neither an http or https URL, with slack\+, discord\+, alertmanager\+ or nothing in front, nor a file with such URLs/,
  )
  const many = Array.from({ length: 11 }, (_, i) => ['-alert', `http://a${i}.example`]).flat()
  assert.match(refused(many), /-alert gives 11 URLs, of at most 10/)
  const chain = ['-network', 'devnet', '-ethController', `0x${'1'.repeat(40)}`, '-ethUrl', 'http://a']
  assert.match(
    refused([...chain, '-alertBalanceDays', '0']),
    /-alertBalanceDays must be between 1 and 365, not 0/,
  )
})
