import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bracketed,
  hostAndPort,
  isLoopback,
  isUnspecified,
  withoutBrackets,
  withoutMapping,
} from './hosts.ts'

test('loopback hosts are recognised in every spelling', () => {
  for (const host of [
    'localhost',
    'LocalHost.',
    'node.localhost',
    '127.0.0.1',
    '127.255.1.2',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    '[0000::0001]',
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]',
  ]) {
    assert.equal(isLoopback(host), true, host)
  }
  for (const host of [
    '',
    'localhost.example',
    'notlocalhost',
    '10.0.0.1',
    '128.0.0.1',
    '127.0.0.1.example',
    '0.0.0.0',
    '::',
    '::2',
    '[2001:db8::1]',
    '::ffff:10.0.0.1',
    '::1]',
  ]) {
    assert.equal(isLoopback(host), false, host)
  }
})

test('hosts that mean all interfaces are recognised in every spelling', () => {
  for (const host of ['', '0.0.0.0', '::', '[::]', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0']) {
    assert.equal(isUnspecified(host), true, host)
  }
  for (const host of ['localhost', '127.0.0.1', '::1', '[::1]', '0.0.0.1']) {
    assert.equal(isUnspecified(host), false, host)
  }
})

test('only IPv6 addresses get brackets', () => {
  assert.deepEqual(
    ['::1', '10.0.0.1', 'o.example', ''].map((host) => hostAndPort(host, 8935)),
    ['[::1]:8935', '10.0.0.1:8935', 'o.example:8935', ':8935'],
  )
  assert.deepEqual(['[::1]', '::1', 'o.example', '['].map(withoutBrackets), ['::1', '::1', 'o.example', '['])
})

test('an IPv4-mapped peer address is shown as IPv4', () => {
  assert.deepEqual(
    ['::ffff:10.0.0.1', '::FFFF:10.0.0.1', '10.0.0.1', '::1', '::ffff:a00:1'].map(withoutMapping),
    [...['10.0.0.1', '10.0.0.1', '10.0.0.1', '::1', '::ffff:a00:1']],
  )
})

test('an IPv6 address without brackets gets the form it most likely meant', () => {
  for (const [text, meant] of [
    ['::1', '[::1]'],
    ['::1:8935', '[::1]:8935'],
    ['2001:db8::1:8935', '[2001:db8::1]:8935'],
    ['2001:db8::12', '[2001:db8::12]'],
    ['fe80::1:99999', '[fe80::1]:99999'],
    ['1:2:3:4:5:6:7:8', '[1:2:3:4:5:6:7:8]'],
    ['1:2:3:4:5:6:7:8:80', '[1:2:3:4:5:6:7:8]:80'],
    ['1:2:3:4:5:6:7:8935', '[1:2:3:4:5:6:7:8935]'],
    ['::', '[::]'],
    ['o.example:8935', null],
    ['10.0.0.1:8935', null],
    [':8935', null],
    ['[::1]:8935', null],
    ['a:b:c', null],
    ['', null],
  ] as const) {
    assert.equal(bracketed(text), meant, text)
  }
})
