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

  const amounts: [text: string, wei: bigint][] = [
    ['21000000000', 21_000_000_000n],
    ['0x10', 16n],
    ['21gwei', 21_000_000_000n],
    ['0.5GWEI', 500_000_000n],
    ['7wei', 7n],
    ['0.000001eth', 1_000_000_000_000n],
    ['9ether', 9n * 10n ** 18n],
  ]
  for (const [text, expected] of amounts) {
    it(`reads the amount ${text} as ${expected} wei`, () => {
      assert.equal(value('maxGasPrice', '-maxGasPrice', text), expected)
      assert.equal(value('minGasPrice', '-minGasPrice', text), expected)
    })
  }

  const intervals: [text: string, ms: number][] = [
    ['5', 5000],
    ['5s', 5000],
    ['2m', 120_000],
    ['1.5s', 1500],
  ]
  for (const [text, expected] of intervals) {
    it(`reads the interval ${text} as ${expected} ms`, () => {
      assert.equal(value('blockPollingInterval', '-blockPollingInterval', text), expected)
    })
  }

  it('distinguishes given flags from defaults', () => {
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
    [['-aiWorker'], '-aiWorker is for AI or remote signing, which this node does not support: leave it out'],
    [['-two\nlines'], 'there is no flag "-two\\nlines": livepeer -help lists all flags'],
    [['-ethUrl'], '-ethUrl needs a value'],
    [['-maxAttempts', 'three'], '-maxAttempts must be a whole number, not "three"'],
    [['-maxAttempts', '08'], '-maxAttempts must be a whole number, not "08"'],
    [['-maxAttempts', '1__0'], '-maxAttempts must be a whole number, not "1__0"'],
    [['-maxAttempts', '1e3'], '-maxAttempts must be a whole number, not "1e3"'],
    [['-maxAttempts='], '-maxAttempts must be a whole number, not ""'],
    [['-gasLimit', '9223372036854775808'], '-gasLimit must be a whole number, not "9223372036854775808"'],
    [
      ['-maxGasPrice', '1usd'],
      '-maxGasPrice must be a whole number of wei, or an amount with a unit, such as 21gwei or 0.5eth, of at most 9.22 eth, not "1usd"',
    ],
    [
      ['-minGasPrice', '0.5wei'],
      '-minGasPrice must be a whole number of wei, or an amount with a unit, such as 21gwei or 0.5eth, of at most 9.22 eth, not "0.5wei"',
    ],
    [
      ['-maxGasPrice', '10eth'],
      '-maxGasPrice must be a whole number of wei, or an amount with a unit, such as 21gwei or 0.5eth, of at most 9.22 eth, not "10eth"',
    ],
    [
      ['-blockPollingInterval', '5 minutes'],
      '-blockPollingInterval must be a whole number of seconds, or a duration with a unit, such as 500ms, 90s or 1h30m, not "5 minutes"',
    ],
    [['-gateway=yes'], '-gateway must be true or false, not "yes"'],
    [['-gateway=tRUE'], '-gateway must be true or false, not "tRUE"'],
    [['-selectPriceWeight', 'NaN'], '-selectPriceWeight must be a number, not "NaN"'],
    [
      ['-discoveryTimeout', '500'],
      '-discoveryTimeout must be a duration with a unit, such as 500ms, 90s or 1h30m, not "500"',
    ],
    [
      ['-discoveryTimeout', '9999999h'],
      '-discoveryTimeout must be a duration with a unit, such as 500ms, 90s or 1h30m, not "9999999h"',
    ],
    [['---gateway'], '"---gateway" is not a flag: a flag is one or two dashes and a name'],
    [['---ethPassword=hush'], '"---ethPassword=…" is not a flag: a flag is one or two dashes and a name'],
    [['-=x'], '"-=…" is not a flag: a flag is one or two dashes and a name'],
    [
      ['-orchestrator', 'true', '-transcoder'],
      '"true" after -orchestrator is not its value: write -orchestrator=true',
    ],
    [['-httpIngest', 'false'], '"false" after -httpIngest is not its value: write -httpIngest=false'],
    [
      ['-gateway', 'me'],
      'the word "me" is not part of a flag: remove it, or put quotes around a value with spaces',
    ],
    [
      ['-gateway', '-'],
      'the word "-" is not part of a flag: remove it, or put quotes around a value with spaces',
    ],
    [
      ['-ethUrl', 'https://a/KEY', 'https://me:hush@b/KEY'],
      'the word "https://b/…" is not part of a flag: remove it, or put quotes around a value with spaces',
    ],
    [
      ['-ethPassword', 'correct', 'horse'],
      'a word after the value of -ethPassword is not part of a flag: put quotes around a value with spaces',
    ],
    [['-ethUrlhttps://a/KEY'], 'there is no flag "-ethurlhttps://a/…": livepeer -help lists all flags'],
    [
      ['--', '-gateway'],
      'the word "-gateway" is not part of a flag: remove it, or put quotes around a value with spaces',
    ],
  ]
  for (const [argv, sentence] of refused) {
    it(`refuses ${JSON.stringify(argv)}: ${sentence}`, () => {
      assert.throws(() => load({ argv }), { code: 'bad-flag', message: sentence })
    })
  }

  it('warns about an old name with the new one', () => {
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

  it('has less weight than the command line, in any spelling', () => {
    const { values, warnings } = load({
      argv: ['-dataDir', 'mine', '-gateway=false'],
      variables: { LP_DATADIR: 'other', LP_BROADCASTER: 'nonsense' },
    })
    assert.deepEqual([values.dataDir, values.gateway, warnings], ['mine', false, []])
  })

  it('is ignored when empty', () => {
    assert.equal(load({ variables: { LP_MAXATTEMPTS: '' } }).given.size, 0)
  })

  it('is ignored for variables of other programs, which do not begin with LP_', () => {
    assert.equal(load({ variables: { ETHURL: 'x', lp_ethurl: 'x', LPX: 'x', LP: 'x' } }).given.size, 0)
  })

  it('is ignored for an empty variable that is not a flag', () => {
    assert.equal(load({ variables: { LP_NOSUCHFLAG: '' } }).given.size, 0)
  })

  for (const variable of [
    ...['LP_SERVICE_HOST', 'LP_SERVICE_PORT', 'LP_SERVICE_PORT_HTTP', 'LP_PORT', 'LP_PORT_80_TCP'],
    ...[
      'LP_PORT_80_TCP_ADDR',
      'LP_RED_IS_SERVICE_HOST',
      'LP_O1_PORT_8935_TCP_PROTO',
      'LP_X_PORT_53_UDP_PORT',
    ],
  ]) {
    it(`is ignored for ${variable}, which containers are given for a service`, () => {
      assert.equal(load({ variables: { [variable]: 'tcp://10.0.0.1:80' } }).given.size, 0)
    })
  }

  it('warns of a variable that only tunes AI', () => {
    assert.deepEqual(load({ variables: { LP_AIMODELSDIR: '/models' } }).warnings, [
      'LP_AIMODELSDIR has no effect here: it is for AI, which this node does not support',
    ])
  })

  const advice = (variable: string) =>
    `every variable that begins with LP_ sets one, so unset ${variable}, or rename it if it is for another program (livepeer -help lists all flags)`
  const refused: [variables: Record<string, string>, sentence: string][] = [
    [{ LP_SERVCEADDR: 'x' }, 'LP_SERVCEADDR in the environment is not a flag: did you mean LP_SERVICEADDR?'],
    [{ LP_ETH_URL: 'x' }, 'LP_ETH_URL in the environment is not a flag: did you mean LP_ETHURL?'],
    [{ LP_DATA_DIR: 'x' }, 'LP_DATA_DIR in the environment is not a flag: did you mean LP_DATADIR?'],
    [{ LP_PRINTER: 'hush' }, `LP_PRINTER in the environment is not a flag: ${advice('LP_PRINTER')}`],
    [{ LP_: 'x' }, `LP_ in the environment is not a flag: ${advice('LP_')}`],
    [{ 'LP_\n': 'x' }, `"LP_\\n" in the environment is not a flag: ${advice('"LP_\\n"')}`],
    [
      { LP_AIWORKER: 'true' },
      'LP_AIWORKER is for AI or remote signing, which this node does not support: leave it out',
    ],
    [
      { LP_VERSION: '0.9.1' },
      'LP_VERSION="0.9.1" in the environment sets the flag -version, which must be true or false: correct or unset LP_VERSION',
    ],
    [
      { LP_MAXATTEMPTS: 'x' },
      'LP_MAXATTEMPTS="x" in the environment sets the flag -maxAttempts, which must be a whole number: correct or unset LP_MAXATTEMPTS',
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

  it('has one setting per line', () => {
    const { values } = load({ argv: ['-config', 'node.conf'], file })
    assert.deepEqual(
      [values.ethUrl, values.gateway, values.maxAttempts, values.orchSecret, values.network, values.region],
      ['http://x', true, 7n, 'a#b c', 'devnet', 'two'],
    )
  })

  it('has less weight than the command line and the environment', () => {
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
    [undefined, '-config "node.conf" cannot be read or is empty'],
    ['gatway', 'there is no flag gatway in line 1 of node.conf: did you mean gateway?'],
    ['\nmaxAttempts three', 'maxAttempts in line 2 of node.conf must be a whole number, not "three"'],
    ['gateway # yes', 'gateway in line 1 of node.conf must be true or false, not "# yes"'],
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
      'aiWorker in line 1 of node.conf is for AI or remote signing, which this node does not support: leave it out',
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
  it('has a readable default for every flag, and help that is a sentence', () => {
    for (const name of flagNames) {
      assert.notEqual(defaultOf(flags[name]), undefined, name)
      assert.match(flags[name].help, /^[A-Z].*\.$/, name)
    }
  })

  it('has a distinct environment variable for each flag', () => {
    const variables = flagNames.map(environmentName)
    assert.equal(new Set(variables).size, variables.length)
  })

  it('has no old name that is a current one', () => {
    for (const name of Object.keys(oldNames)) assert.ok(!Object.hasOwn(flags, name), name)
  })
})

describe('any input', () => {
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

  it('gives flags or a SettingsError', () => {
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
    fc.assert(property, { numRuns: 1000 })
  })

  it('gives the same from a configuration file alone', () => {
    const property = fc.property(file, (text) => {
      try {
        loadFlags({ argv: ['-config', 'x'], variables: {}, readText: () => text || null })
      } catch (error) {
        assert.ok(error instanceof SettingsError, String(error))
      }
    })
    fc.assert(property, { numRuns: 1000 })
  })
})
