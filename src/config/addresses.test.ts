import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadSettings } from './load-settings.ts'

const GATEWAY = '-gateway -orchAddr o.example'
const ORCHESTRATOR = '-orchestrator -transcoder -serviceAddr o.example:8935'
const CHAIN = '-network devnet -ethController 0xD8E8328501E9645d16Cf49539efC04f734606ee4'
const RPC = `${CHAIN} -ethUrl http://rpc.example`
const PAID = `${RPC} ${ORCHESTRATOR} -pricePerUnit 1`

function load(line: string) {
  const about = { version: '', runtime: '', arch: '', platform: '' }
  return loadSettings({
    argv: line.split(' '),
    variables: {},
    readText: () => null,
    homeDir: '/home/me',
    about,
  })
}

function settings(line: string) {
  const loaded = load(line)
  if ('exit' in loaded) assert.fail(loaded.exit.stderr)
  return loaded
}

describe('an IPv6 address in brackets, in any spelling,', () => {
  const cases: [line: string, of: (line: string) => unknown, value: unknown][] = [
    [`${GATEWAY} -httpAddr [::1]:9935`, (l) => settings(l).gateway!.bind, { host: '::1', port: 9935 }],
    [`${GATEWAY} -httpAddr [::1]`, (l) => settings(l).gateway!.bind, { host: '::1', port: 9935 }],
    [`${GATEWAY} -httpAddr [0:0::0:1]:1`, (l) => settings(l).gateway!.bind, { host: '::1', port: 1 }],
    [`${GATEWAY} -cliAddr [::1]:7000`, (l) => settings(l).controlBind, { host: '::1', port: 7000 }],
    [
      `-gateway -orchAddr [2001:DB8::1]:8935,http://[::1],[2001:db8:0::1]`,
      (l) => settings(l).gateway!.orchestrators,
      ['https://[2001:db8::1]:8935', 'http://[::1]:8935'],
    ],
    [
      '-transcoder -orchSecret s -orchAddr [::1]:8935',
      (l) => settings(l).transcoder!.orchestrators,
      ['https://[::1]:8935'],
    ],
    [
      '-orchestrator -transcoder -serviceAddr [2001:db8::1]:8935',
      (l) => settings(l).orchestrator!.service,
      { kind: 'url', url: 'https://[2001:db8::1]:8935' },
    ],
    [
      `${ORCHESTRATOR} -httpAddr [2001:db8::1]`,
      (l) => settings(l).orchestrator!.bind,
      { host: '2001:db8::1', port: null, clearText: false },
    ],
    [
      `${ORCHESTRATOR} -httpAddr http://[::]:8936`,
      (l) => settings(l).orchestrator!.bind,
      { host: '', port: 8936, clearText: true },
    ],
    [
      `${ORCHESTRATOR} -nodes [::1]:1,[::2]`,
      (l) => settings(l).orchestrator!.nodes,
      ['https://[::1]:1', 'https://[::2]:8935'],
    ],
    [`${PAID} -redeemerAddr [::1]:8936`, (l) => settings(l).orchestrator!.redeemers, ['https://[::1]:8936']],
    [`${RPC} -redeemer -httpAddr [::1]:8936`, (l) => settings(l).redeemer!.bind, { host: '::1', port: 8936 }],
    [`${CHAIN} -gateway -ethUrl http://[::1]:8545`, (l) => settings(l).chain!.urls, ['http://[::1]:8545']],
  ]
  for (const [line, of, value] of cases) it(line, () => assert.deepEqual(of(line), value))

  it('loopback addresses are recognised', () => {
    assert.equal(settings('-gateway -orchAddr a -httpAddr [0:0:0:0:0:0:0:1]:9935').gateway!.httpIngest, true)
    assert.equal(settings('-gateway -orchAddr a -httpAddr [::]:9935').gateway!.httpIngest, false)
    const public_ = '-network arbitrum-one-mainnet -ethUrl http://a -orchestrator -transcoder -pricePerUnit 1'
    for (const host of ['[::1]', '[0::1]', '[::ffff:127.0.0.1]']) {
      const loaded = load(`${public_} -serviceAddr ${host}:8935`)
      assert.ok('exit' in loaded)
      assert.match(loaded.exit.stderr, /can be reached from this machine only/)
    }
  })
})

describe('the public name of a gateway', () => {
  const cases: [text: string, host: string][] = [
    ['GW.example', 'gw.example'],
    ['gw.example:443', 'gw.example'],
    ['https://gw.example/', 'gw.example'],
    ['[2001:DB8::1]:9935', '2001:db8::1'],
  ]
  for (const [text, host] of cases) {
    it(`${text} is ${host}`, () =>
      assert.equal(settings(`${GATEWAY} -gatewayHost ${text}`).gateway!.publicHost, host))
  }
  it('is a host', () => {
    const stderr =
      '-gatewayHost "gw/live" is not a node address: write HOST:PORT, such as node.example:8935\n'
    assert.deepEqual(load(`${GATEWAY} -gatewayHost gw/live`), { exit: { code: 1, stdout: '', stderr } })
  })
})

describe('without brackets it is refused with the right spelling:', () => {
  const cases: [line: string, spelled: string, meant: string][] = [
    [`${GATEWAY} -httpAddr ::1:9935`, '-httpAddr "::1:9935"', '[::1]:9935'],
    [`${GATEWAY} -httpAddr ::1`, '-httpAddr "::1"', '[::1]'],
    [`${GATEWAY} -cliAddr ::1:7000`, '-cliAddr "::1:7000"', '[::1]:7000'],
    ['-gateway -orchAddr a,2001:db8::1:8935', '-orchAddr "2001:db8::1:8935"', '[2001:db8::1]:8935'],
    [
      '-gateway -orchAddr https://2001:db8::1:8935/',
      '-orchAddr "https://2001:db8::1:8935/"',
      'https://[2001:db8::1]:8935/',
    ],
    [
      '-orchestrator -transcoder -serviceAddr ::1:8935',
      'Error getting service URI: -serviceAddr "::1:8935"',
      '[::1]:8935',
    ],
    [`${ORCHESTRATOR} -httpAddr http://::1:8935`, '-httpAddr "::1:8935"', '[::1]:8935'],
    [`${ORCHESTRATOR} -nodes ::1`, '-nodes "::1"', '[::1]'],
    [`${PAID} -redeemerAddr 2001:db8::1:8935`, '-redeemerAddr "2001:db8::1:8935"', '[2001:db8::1]:8935'],
    [`${RPC} -redeemer -httpAddr ::1:8935`, '-httpAddr "::1:8935"', '[::1]:8935'],
    [
      `${CHAIN} -gateway -ethUrl http://a,http://::1:8545/key`,
      'entry 2 of -ethUrl',
      'it as in http://[::1]:8545',
    ],
  ]
  for (const [line, spelled, meant] of cases) {
    it(`${line}: ${meant}`, () => {
      const stderr = `${spelled} has an IPv6 address without brackets: write ${meant}\n`
      assert.deepEqual(load(line), { exit: { code: 1, stdout: '', stderr } })
    })
  }

  it('text that is not an address is refused as such', () => {
    for (const text of [
      '[::1',
      '::1]',
      '[o.example]:1',
      '[fe80::1%eth0]:1',
      '[::1]x',
      'a:b:c',
      '[]:1',
      '[127.0.0.1]:1',
    ]) {
      for (const flag of ['-httpAddr', '-orchAddr']) {
        const loaded = load(`-gateway ${flag} ${text}`)
        assert.ok('exit' in loaded, `${flag} ${text}`)
        assert.match(loaded.exit.stderr, /: write HOST:PORT, such as /, `${flag} ${text}`)
      }
    }
  })
})
