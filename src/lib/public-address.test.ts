import assert from 'node:assert/strict'
import { createServer, get } from 'node:http'
import { type AddressInfo, connect, type LookupFunction } from 'node:net'
import { test } from 'node:test'
import { AddressError, checkHost, isPublicAddress, lookupWhere, type Resolve } from './public-address.ts'

const PUBLIC = [
  ...['1.1.1.1', '8.8.8.8', '93.184.216.34', '223.255.255.255', '198.17.255.255', '198.20.0.0'],
  ...['11.0.0.0', '9.255.255.255', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'],
  ...['172.15.255.255', '172.32.0.0', '169.253.255.255', '169.255.0.0', '192.167.255.255', '192.169.0.0'],
  ...['168.63.129.15', '168.63.129.17', '1.0.0.0'],
  ...['2606:4700:4700::1111', '2001:4860:4860::8888', '2a00:1450::1', '2001:200::1', '2003::1'],
  // IPv4 inside IPv6
  ...['::ffff:1.1.1.1', '::ffff:101:101', '0:0:0:0:0:ffff:808:808', '64:ff9b::8.8.8.8', '64:ff9b::808:808'],
]

const NOT_PUBLIC = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.100.100.200', '100.127.255.255'],
  ...['127.0.0.1', '127.255.255.255', '169.254.0.0', '169.254.169.254', '172.16.0.0', '172.31.255.255'],
  ...['192.0.0.192', '192.0.2.1', '192.88.99.1', '192.168.0.0', '192.168.255.255', '198.18.0.0'],
  ...['198.19.255.255', '198.51.100.7', '203.0.113.7', '224.0.0.1', '239.255.255.255', '240.0.0.1'],
  ...['255.255.255.255', '168.63.129.16'],
  // IPv6: unspecified, loopback, link-local, site-local, unique local (metadata), multicast, discard, reserved
  ...['::', '::1', 'fe80::1', 'febf::1', 'fec0::1', 'fc00::1', 'fdff::1', 'fd00:ec2::254', 'ff02::1'],
  ...['100::1', '4000::1', '5f00::1', '0200::1'],
  // documentation and tunnels
  ...[
    '2001:db8::1',
    '3fff::1',
    '2001::1',
    '2001:10::1',
    '2001:1ff::1',
    '2002::1',
    '2002:7f00:1::',
    '2002:a00:1::1',
  ],
  // IPv4 inside IPv6, in every spelling
  ...[
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:7f00:0001',
    '::FFFF:10.0.0.1',
    '::ffff:169.254.169.254',
  ],
  ...[
    '::ffff:0.0.0.0',
    '::ffff:100.64.0.1',
    '::ffff:168.63.129.16',
    '::ffff:224.0.0.1',
    '::ffff:192.168.1.1',
  ],
  ...['::127.0.0.1', '::a00:1', '::8.8.8.8', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
  ...[
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::10.0.0.1',
    '64:ff9b:1::8.8.8.8',
    '64:ff9b:1::a00:1',
  ],
  // not addresses, or with more than an address
  ...['', 'localhost', 'example.org', '1.1.1', '01.1.1.1', '0x7f000001', '2130706433', '1.1.1.1:80', '[::1]'],
  ...['[2606:4700::1]', '1.1.1.1 ', '2606:4700::1%eth0', 'fe80::1%1', '::ffff:8.8.8.8%lo', '\u0000'],
]

test('internet addresses are public', () => {
  for (const ip of PUBLIC) assert.equal(isPublicAddress(ip), true, ip)
})

test('loopback, private and metadata addresses are not public, and neither is anything that is not an address', () => {
  for (const ip of NOT_PUBLIC) assert.equal(isPublicAddress(ip), false, ip)
})

test('an IPv4 address gets the same answer by itself and inside IPv6', () => {
  for (let high = 0; high < 256; high++) {
    for (const low of [0, 2, 16, 18, 31, 63, 64, 100, 128, 168, 254, 255]) {
      const ip = `${high}.${low}.${low}.${high}`
      assert.equal(isPublicAddress(`::ffff:${ip}`), isPublicAddress(ip), ip)
      assert.equal(isPublicAddress(`64:ff9b::${ip}`), isPublicAddress(ip), ip)
    }
  }
})

test('a URL host that is an address is checked in every spelling', () => {
  const refused = [
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '10.0.0.1',
  ]
  for (const host of refused) {
    assert.throws(() => checkHost(new URL(`http://${host}/`).hostname), AddressError, host)
  }
  for (const host of ['1.1.1.1', '[2606:4700::1]', 'example.org', 'localhost']) {
    assert.doesNotThrow(() => checkHost(new URL(`http://${host}/`).hostname), host)
  }
})

/** Resolves every name to these addresses in turn, and counts the calls. */
function resolver(...answers: string[][]) {
  const asked: string[] = []
  const resolve: Resolve = (hostname, _options, callback) => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)] ?? []
    asked.push(hostname)
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  return { resolve, asked }
}

/** The addresses a lookup returns, or the text of its error. */
function lookedUp(lookup: LookupFunction, all: boolean): Promise<unknown> {
  return new Promise((resolve) =>
    lookup('peer.example', { all }, (error, address, family) =>
      resolve(error ? { code: error.code, message: error.message } : all ? address : [address, family]),
    ),
  )
}

test('a lookup returns only the allowed addresses of a name', async () => {
  const mixed = () =>
    lookupWhere(isPublicAddress, resolver(['10.0.0.1', '1.1.1.1', '::1', '2606:4700::1']).resolve)
  assert.deepEqual(await lookedUp(mixed(), true), [
    { address: '1.1.1.1', family: 4 },
    { address: '2606:4700::1', family: 6 },
  ])
  assert.deepEqual(await lookedUp(mixed(), false), ['1.1.1.1', 4])
})

test('a name without an allowed address fails with a code and the addresses it resolved to', async () => {
  const inside = () => lookupWhere(isPublicAddress, resolver(['10.0.0.1', '::ffff:127.0.0.1']).resolve)
  for (const all of [true, false]) {
    assert.deepEqual(await lookedUp(inside(), all), {
      code: 'address-not-allowed',
      message: 'peer.example (10.0.0.1, ::ffff:127.0.0.1) is not a public address',
    })
  }
})

test('a failed resolution keeps its own error', async () => {
  const failed: Resolve = (_hostname, _options, callback) =>
    callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), [])
  assert.deepEqual(await lookedUp(lookupWhere(isPublicAddress, failed), true), {
    code: 'ENOTFOUND',
    message: 'getaddrinfo ENOTFOUND',
  })
})

test('a real socket connects only to the address that was checked', async () => {
  const server = createServer((_request, response) => response.end('inside'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  let connections = 0
  server.on('connection', () => connections++)
  try {
    for (const name of ['localhost', 'peer.example']) {
      const { resolve } = resolver(['127.0.0.1'])
      const error = await new Promise<Error>((done) =>
        connect({ host: name, port, lookup: lookupWhere(isPublicAddress, resolve) }).on('error', done),
      )
      assert.ok(error instanceof AddressError, String(error))
    }
    assert.equal(connections, 0)
    // The name resolves differently each time, so it must be resolved only once.
    const rebinding = resolver(['127.0.0.1'], ['127.0.0.2'])
    const lookup = lookupWhere((ip) => ip === '127.0.0.1', rebinding.resolve)
    const text = await new Promise<string>((done, fail) =>
      get({ host: 'peer.example', port, lookup }, async (response) => {
        done(Buffer.concat(await response.toArray()).toString())
      }).on('error', fail),
    )
    assert.deepEqual([text, rebinding.asked, connections], ['inside', ['peer.example'], 1])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
