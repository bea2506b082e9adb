import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type FlagName, flagNames, flags, oldNames } from './flags.ts'
import { defaultOf, environmentName, loadFlags, SettingsError } from './load-flags.ts'

interface Given {
  argv?: readonly string[]
  variables?: Record<string, string>
  /** The file node.conf. */
  file?: string
}

const load = ({ argv = [], variables = {}, file }: Given) =>
  loadFlags({ argv, variables, readText: (path) => (path === 'node.conf' && file ? file : null) })

const value = (name: FlagName, ...argv: string[]) => load({ argv }).values[name]

describe('the command line', () => {
  const accepted: [argv: string[], name: FlagName, value: unknown][] = [
    [[], 'maxAttempts', 3n],
    [['-maxAttempts', '5'], 'maxAttempts', 5n],
    [['--maxAttempts', '5'], 'maxAttempts', 5n],
    [['-maxAttempts=5'], 'maxAttempts', 5n],
    [['--maxAttempts=5'], 'maxAttempts', 5n],
    [['-maxAttempts', '5', '-maxAttempts=6'], 'maxAttempts', 6n],
    [['-maxAttempts', '-1'], 'maxAttempts', -1n],
    [['-ethUrl', ''], 'ethUrl', ''],
    [['-ethUrl', '-gateway'], 'ethUrl', '-gateway'],
    [['-ethUrl=a=b'], 'ethUrl', 'a=b'],
    [['-gateway'], 'gateway', true],
    [['-gateway=false'], 'gateway', false],
    [['-gateway', '-gateway=0'], 'gateway', false],
    [['-gateway', '--'], 'gateway', true],
    [['-gateway', '--', ' '], 'gateway', true],
    [['-ethUrl', 'x', ' ', '-gateway'], 'gateway', true],
    [['', '-gateway', '\t'], 'gateway', true],
    [['-broadcaster'], 'gateway', true],
    [['-datadir', 'x', '-dataDir', 'y'], 'dataDir', 'y'],
  ]
  for (const [argv, name, expected] of accepted) {
    it(`${JSON.stringify(argv)} makes ${name} ${expected}`, () =>
      assert.deepEqual(value(name, ...argv), expected))
  }

  const booleans = { 1: true, t: true, T: true, true: true, True: true, TRUE: true }
  const negatives = { 0: false, f: false, F: false, false: false, False: false, FALSE: false }
  for (const [text, expected] of Object.entries({ ...booleans, ...negatives })) {
    it(`a switch may be ${text}`, () => assert.equal(value('gateway', `-gateway=${text}`), expected))
  }

  const integers: [text: string, value: bigint][] = [
    ['0', 0n],
    ['+7', 7n],
    ['010', 8n],
    ['0o10', 8n],
    ['0x1F', 31n],
    ['0b101', 5n],
    ['1_000_000', 1_000_000n],
    ['0x_ff', 255n],
    ['-0x10', -16n],
    ['9223372036854775807', 2n ** 63n - 1n],
    ['-9223372036854775808', -(2n ** 63n)],
  ]
  for (const [text, expected] of integers) {
    it(`reads the whole number ${text} as ${expected}`, () =>
      assert.equal(value('gasLimit', '-gasLimit', text), expected))
  }

  const durations: [text: string, ms: number][] = [
    ['0', 0],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['.5m', 30_000],
    ['100us', 0.1],
    ['100µs', 0.1],
    ['1ns', 0.000001],
    ['-2ms', -2],
    ['+2ms', 2],
  ]
  for (const [text, expected] of durations) {
    it(`reads the duration ${text} as ${expected} ms`, () => {
      assert.equal(value('transactionTimeout', '-transactionTimeout', text), expected)
    })
  }

  it('tells what was given from what was not', () => {
    assert.equal(value('reward'), null)
    assert.equal(value('reward', '-reward'), true)
    assert.equal(value('reward', '-reward=false'), false)
    assert.equal(value('minGasPrice'), null)
    assert.equal(value('minGasPrice', '-minGasPrice', '0'), 0n)
    assert.equal(value('pricePerUnit', '-pricePerUnit', ''), '')
    assert.deepEqual([...load({ argv: ['-maxAttempts', '3'] }).given.keys()], ['maxAttempts'])
  })

  for (const word of ['-h', '-help', '--help', '--h']) {
    it(`ends at ${word}`, () => {
      assert.equal(load({ argv: ['-gateway', word, '-nonsense'] }).help, true)
    })
  }

  const refused: [argv: string[], sentence: string][] = [
    [['-orchestratr'], 'there is no flag -orchestratr: did you mean -orchestrator?'],
    [['-Gateway'], 'there is no flag -Gateway: did you mean -gateway?'],
    [['--servicAddr=x'], 'there is no flag -servicAddr: did you mean -serviceAddr?'],
    [['-qqq', 'x'], 'there is no flag -qqq: livepeer -help lists all flags'],
    [['-constructor'], 'there is no flag -constructor: livepeer -help lists all flags'],
    [['-aiWorker'], '-aiWorker is for AI or remote signing, which this node does not do: leave it out'],
    [['-two\nlines'], 'there is no flag "-two\\nlines": livepeer -help lists all flags'],
    [['-ethUrl'], '-ethUrl needs a value'],
    [['-maxAttempts', 'three'], '-maxAttempts is a whole number, not "three"'],
    [['-maxAttempts', '08'], '-maxAttempts is a whole number, not "08"'],
    [['-maxAttempts', '1__0'], '-maxAttempts is a whole number, not "1__0"'],
    [['-maxAttempts', '1e3'], '-maxAttempts is a whole number, not "1e3"'],
    [['-maxAttempts='], '-maxAttempts is a whole number, not ""'],
    [['-gasLimit', '9223372036854775808'], '-gasLimit is a whole number, not "9223372036854775808"'],
    [['-gateway=yes'], '-gateway is true or false, not "yes"'],
    [['-gateway=tRUE'], '-gateway is true or false, not "tRUE"'],
    [['-selectPriceWeight', 'NaN'], '-selectPriceWeight is a number, not "NaN"'],
    [
      ['-discoveryTimeout', '500'],
      '-discoveryTimeout is a duration with a unit, such as 500ms, 90s or 1h30m, not "500"',
    ],
    [
      ['-discoveryTimeout', '9999999h'],
      '-discoveryTimeout is a duration with a unit, such as 500ms, 90s or 1h30m, not "9999999h"',
    ],
    [['---gateway'], '"---gateway" is no flag: a flag is one or two dashes and a name'],
    [['-=x'], '"-=x" is no flag: a flag is one or two dashes and a name'],
    [
      ['-orchestrator', 'true', '-transcoder'],
      '"true" after -orchestrator is not its value: write -orchestrator=true',
    ],
    [['-httpIngest', 'false'], '"false" after -httpIngest is not its value: write -httpIngest=false'],
    [
      ['-gateway', 'me'],
      'the word "me" belongs to no flag: remove it, or put quotes around a value with spaces',
    ],
    [
      ['-gateway', '-'],
      'the word "-" belongs to no flag: remove it, or put quotes around a value with spaces',
    ],
    [
      ['--', '-gateway'],
      'the word "-gateway" belongs to no flag: remove it, or put quotes around a value with spaces',
    ],
  ]
  for (const [argv, sentence] of refused) {
    it(`refuses ${JSON.stringify(argv)}: ${sentence}`, () => {
      assert.throws(() => load({ argv }), { code: 'bad-flag', message: sentence })
    })
  }

  it('says of an old name what is written now', () => {
    const { warnings } = load({ argv: ['-broadcaster', '-datadir=x', '-pricePerBroadcaster', '{}'] })
    assert.deepEqual(warnings, [
      '-broadcaster is an old name: write -gateway',
      '-datadir is an old name: write -dataDir',
      '-pricePerBroadcaster is an old name: write -pricePerGateway',
    ])
  })
})

describe('the environment', () => {
  it('sets any flag by LP_ and its name in capitals', () => {
    const { values } = load({
      variables: { LP_ETHURL: 'http://x', LP_MONITOR: '1', LP_V: '6', LP_BROADCASTER: 't' },
    })
    assert.deepEqual([values.ethUrl, values.monitor, values.v, values.gateway], ['http://x', true, '6', true])
  })

  it('counts less than the command line, whichever spelling either uses', () => {
    const { values, warnings } = load({
      argv: ['-dataDir', 'mine', '-gateway=false'],
      variables: { LP_DATADIR: 'other', LP_BROADCASTER: 'nonsense' },
    })
    assert.deepEqual([values.dataDir, values.gateway, warnings], ['mine', false, []])
  })

  it('counts as absent where it is empty', () => {
    assert.equal(load({ variables: { LP_MAXATTEMPTS: '' } }).given.size, 0)
  })

  it('is not looked at for other variables', () => {
    assert.equal(
      load({ variables: { ETHURL: 'x', LP_: 'x', LP_NOSUCHFLAG: 'x', lp_ethurl: 'x' } }).given.size,
      0,
    )
  })

  const refused: [variables: Record<string, string>, sentence: string][] = [
    [
      { LP_VERSION: '0.9.1' },
      'LP_VERSION="0.9.1" in the environment stands for the flag -version, which is true or false: correct or unset LP_VERSION',
    ],
    [
      { LP_MAXATTEMPTS: 'x' },
      'LP_MAXATTEMPTS="x" in the environment stands for the flag -maxAttempts, which is a whole number: correct or unset LP_MAXATTEMPTS',
    ],
  ]
  for (const [variables, sentence] of refused) {
    it(`is refused: ${sentence}`, () => {
      assert.throws(() => load({ variables }), { code: 'bad-setting', message: sentence })
    })
  }
})

describe('the configuration file', () => {
  const file = [
    '# a node',
    '',
    'ethUrl http://x # the near one',
    '  gateway  ',
    'LP_MAXATTEMPTS 7',
    'orchSecret a#b c',
    'network   devnet',
    'region one',
    'region two\r',
  ].join('\n')

  it('has one setting a line', () => {
    const { values } = load({ argv: ['-config', 'node.conf'], file })
    assert.deepEqual(
      [values.ethUrl, values.gateway, values.maxAttempts, values.orchSecret, values.network, values.region],
      ['http://x', true, 7n, 'a#b c', 'devnet', 'two'],
    )
  })

  it('counts less than command line and environment', () => {
    const { values } = load({
      argv: ['-ethUrl', 'mine'],
      variables: { LP_CONFIG: 'node.conf', LP_MAXATTEMPTS: '8' },
      file,
    })
    assert.deepEqual([values.ethUrl, values.maxAttempts, values.network], ['mine', 8n, 'devnet'])
  })

  it('may set the data folder under its old and its environment name', () => {
    const read = (line: string) => load({ argv: ['-config', 'node.conf'], file: line })
    assert.equal(read('datadir x').values.dataDir, 'x')
    assert.deepEqual(read('LP_DATADIR x').warnings, [])
    assert.equal(read('LP_DATADIR x').values.dataDir, 'x')
  })

  const refused: [file: string | undefined, sentence: string][] = [
    [undefined, '-config "node.conf" is not a file that can be read, or it is empty'],
    ['gatway', 'there is no flag gatway in line 1 of node.conf: did you mean gateway?'],
    ['\nmaxAttempts three', 'maxAttempts in line 2 of node.conf is a whole number, not "three"'],
    ['gateway # yes', 'gateway in line 1 of node.conf is true or false, not "# yes"'],
    [
      'ethPassword=hush',
      'line 1 of node.conf cannot be read: write ethPassword without a dash, one space, and the value',
    ],
    [
      'ethPassword\thush',
      'line 1 of node.conf cannot be read: write ethPassword without a dash, one space, and the value',
    ],
    [
      '-gateway',
      'line 1 of node.conf cannot be read: write gateway without a dash, one space, and the value',
    ],
    [
      'aiWorker',
      'aiWorker in line 1 of node.conf is for AI or remote signing, which this node does not do: leave it out',
    ],
  ]
  for (const [content, sentence] of refused) {
    it(`is refused: ${sentence}`, () => {
      const given: Given = {
        argv: ['-config', 'node.conf'],
        ...(content === undefined ? {} : { file: content }),
      }
      assert.throws(() => load(given), { code: 'bad-setting', message: sentence })
    })
  }
})

describe('the table of flags', () => {
  it('has a default that can be read for every flag, and help that is a sentence', () => {
    for (const name of flagNames) {
      assert.notEqual(defaultOf(flags[name]), undefined, name)
      assert.match(flags[name].help, /^[A-Z].*\.$/, name)
    }
  })

  it('has one environment variable for one flag', () => {
    const variables = flagNames.map(environmentName)
    assert.equal(new Set(variables).size, variables.length)
  })

  it('has no old name that is a present one', () => {
    for (const name of Object.keys(oldNames)) assert.ok(!Object.hasOwn(flags, name), name)
  })
})

describe('whatever comes in', () => {
  const name = fc.constantFrom(...flagNames, ...Object.keys(oldNames), 'h', 'nonsense', '')
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', ' ', '-', '--', 'true', '0x', '1h', '007', '__proto__'),
    fc.tuple(fc.constantFrom('-', '--', '---', ''), name).map(([dashes, flag]) => `${dashes}${flag}`),
    fc.tuple(name, fc.string()).map(([flag, text]) => `-${flag}=${text}`),
  )
  const env = fc.dictionary(fc.oneof(name.map(environmentName), fc.string()), fc.string())
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(name, word).map(([flag, text]) => `${flag} ${text}`),
  )
  const file = fc.array(line).map((lines) => lines.join('\n'))

  it('gives flags or the one error of this folder', () => {
    const property = fc.property(fc.array(word), env, file, (words, variables, text) => {
      try {
        const { values } = loadFlags({ argv: words, variables, readText: () => text || null })
        assert.deepEqual(Object.keys(values), flagNames)
        assert.ok(Object.values(values).every((given) => given !== undefined))
      } catch (error) {
        assert.ok(error instanceof SettingsError, String(error))
        assert.doesNotMatch(error.message, /\n/)
      }
    })
    fc.assert(property, { numRuns: 3000 })
  })

  it('also from a configuration file alone', () => {
    const property = fc.property(file, (text) => {
      try {
        loadFlags({ argv: ['-config', 'x'], variables: {}, readText: () => text || null })
      } catch (error) {
        assert.ok(error instanceof SettingsError, String(error))
      }
    })
    fc.assert(property, { numRuns: 3000 })
  })
})
