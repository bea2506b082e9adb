import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { parseTransaction, recoverTransactionAddress, verifyTypedData } from 'viem'
import { RecordingLog } from '../../../test/fakes/recording-log.ts'
import { formatHex, parseHex } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { addressOfKey, keccak256, recoverSigner } from '../../lib/crypto.ts'
import { seededDice, systemDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { keyFileName, listKeystore, writeKeyFile } from './keystore.ts'
import { decryptKeyFile, encryptKey, parseKeyFile, STANDARD_COST } from './keystore-file.ts'
import { openWallet, type Prompt, resolvePassword, type WalletOptions, walletOfKey } from './wallet.ts'

/** The two examples of the Web3 Secret Storage definition. */
const DEFINITION = {
  key: parseHex('7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'),
  password: 'testpassword',
  address: '008aeeda4d805471df9b2a5b0f38a0c3bcba786b',
  scrypt: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '83dbcc02d8ccb40e466191a123791e0e' },
    ciphertext: 'd172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c',
    kdf: 'scrypt',
    kdfparams: {
      dklen: 32,
      n: 262144,
      r: 1,
      p: 8,
      salt: 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19',
    },
    mac: '2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097',
  },
  pbkdf2: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
}
/** Cheap to open, as tests want it. */
const LIGHT = { n: 1024, r: 8, p: 1 }
const KEY_A = keccak256(new TextEncoder().encode('a'))
const KEY_B = keccak256(new TextEncoder().encode('b'))
const A = addressOfKey(KEY_A)
const B = addressOfKey(KEY_B)

let home: string
let keystore: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'wallet-'))
  keystore = join(home, 'keystore')
})
afterEach(() => rm(home, { recursive: true, force: true }))

const needs = (prompt: Prompt | null = null) => ({
  dice: systemDice,
  clock: systemClock,
  log: silentLog,
  prompt,
})

const options = (over: Partial<WalletOptions> = {}): WalletOptions => ({
  keystoreDirectory: keystore,
  keystorePath: null,
  address: null,
  password: 'secret',
  scryptN: LIGHT.n,
  ...over,
})

async function put(
  key: Uint8Array,
  password = 'secret',
  at = keystore,
  nowMs = 1_700_000_000_000,
): Promise<string> {
  await mkdir(at, { recursive: true })
  const path = join(at, keyFileName(addressOfKey(key), nowMs))
  await writeFile(path, await encryptKey(key, password, systemDice, LIGHT))
  return path
}

for (const kdf of ['scrypt', 'pbkdf2'] as const) {
  test(`the definition's ${kdf} example opens, at its full cost`, async () => {
    const text = JSON.stringify({
      crypto: DEFINITION[kdf],
      id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
      version: 3,
    })
    assert.deepEqual(await decryptKeyFile(parseKeyFile(text), DEFINITION.password), DEFINITION.key)
    await assert.rejects(decryptKeyFile(parseKeyFile(text), 'other'), { code: 'wrong-password' })
  })
}

test('a key written at the standard cost of 256 MiB is in the standard form and opens again', async () => {
  const text = await encryptKey(KEY_A, 'secret', seededDice('file'))
  const json = JSON.parse(text)
  assert.equal(json.version, 3)
  assert.equal(json.address, A.slice(2).toLowerCase())
  assert.match(json.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(json.crypto.cipher, 'aes-128-ctr')
  assert.equal(json.crypto.kdf, 'scrypt')
  const { salt, ...params } = json.crypto.kdfparams
  assert.deepEqual(params, { dklen: 32, ...STANDARD_COST })
  assert.match(salt, /^[0-9a-f]{64}$/)
  assert.deepEqual(await decryptKeyFile(parseKeyFile(text), 'secret'), KEY_A)
})

test('a file that names another address than its key has is refused', async () => {
  const text = await encryptKey(KEY_A, 'secret', systemDice, LIGHT)
  const other = JSON.stringify({ ...JSON.parse(text), address: B.slice(2) })
  await assert.rejects(decryptKeyFile(parseKeyFile(other), 'secret'), {
    code: 'account-mismatch',
    message: `it claims ${B} but holds the key of ${A}`,
  })
})

test('files of another kind, version, cipher or an unreasonable cost are refused, each with its fault', async () => {
  const good = JSON.parse(await encryptKey(KEY_A, 'secret', systemDice, LIGHT))
  const withCrypto = (over: object) => ({ ...good, crypto: { ...good.crypto, ...over } })
  const cases: [string, unknown, string][] = [
    ['no object', 7, 'bad-key-file'],
    ['nothing', null, 'bad-key-file'],
    ['another version', { ...good, version: 1 }, 'bad-key-file'],
    ['no crypto', { ...good, crypto: undefined }, 'bad-key-file'],
    ['text that is no hex', withCrypto({ mac: 'zz' }), 'bad-key-file'],
    ['an address that is none', { ...good, address: '12' }, 'bad-key-file'],
    ['another cipher', withCrypto({ cipher: 'aes-128-cbc' }), 'unsupported-key-file'],
    ['another derivation', withCrypto({ kdf: 'argon2' }), 'unsupported-key-file'],
    [
      'too much memory',
      withCrypto({ kdfparams: { ...good.crypto.kdfparams, n: 2 ** 30 } }),
      'unsupported-key-file',
    ],
    [
      'n no power of two',
      withCrypto({ kdfparams: { ...good.crypto.kdfparams, n: 1000 } }),
      'unsupported-key-file',
    ],
    ['parameters missing', withCrypto({ kdfparams: {} }), 'unsupported-key-file'],
  ]
  for (const [name, content, code] of cases) {
    const open = async () => decryptKeyFile(parseKeyFile(JSON.stringify(content)), 'secret')
    await assert.rejects(open, { code }, name)
  }
  assert.throws(() => parseKeyFile('not json'), { code: 'bad-key-file' })
})

const MADE_BY_OTHERS: Readonly<Record<string, (file: KeyFileText) => unknown>> = {
  'a capital Crypto section': ({ crypto, ...rest }) => ({ ...rest, Crypto: crypto }),
  'every name in capitals': (file) => renamed(file, (name) => name.toUpperCase()),
  'every name with a capital': (file) => renamed(file, (name) => name[0]!.toUpperCase() + name.slice(1)),
  'no address': ({ address: _, ...rest }) => rest,
  'an empty address': (file) => ({ ...file, address: '' }),
  'an address with 0x, in capitals': (file) => ({ ...file, address: `0x${file.address.toUpperCase()}` }),
  'a version that is text': (file) => ({ ...file, version: '3' }),
  'numbers that are text': ({ crypto, ...rest }) => {
    const { dklen, n, p, r, salt } = crypto.kdfparams
    const kdfparams = { dklen: `${dklen}`, n: `${n}`, p: ` ${p}`, r: `${r}`, salt }
    return { ...rest, crypto: { ...crypto, kdfparams } }
  },
  'kdf and cipher in capitals': ({ crypto, ...rest }) => {
    return { ...rest, crypto: { ...crypto, kdf: 'Scrypt', cipher: 'AES-128-CTR' } }
  },
  '0x before its hexadecimal texts': ({ crypto, ...rest }) => {
    const { cipherparams, ciphertext, mac } = crypto
    return {
      ...rest,
      crypto: {
        ...crypto,
        cipherparams: { iv: `0x${cipherparams.iv}` },
        ciphertext: `0x${ciphertext}`,
        mac: `0x${mac}`,
      },
    }
  },
  'unknown fields': (file) => ({ ...file, 'x-ethers': { client: 'other' }, name: null }),
}

for (const [what, change] of Object.entries(MADE_BY_OTHERS)) {
  test(`a key file of another wallet is read: ${what}`, async () => {
    const file = JSON.parse(await encryptKey(KEY_A, 'secret', systemDice, LIGHT))
    for (const mark of ['', '\ufeff']) {
      const read = parseKeyFile(mark + JSON.stringify(change(file), null, 2))
      assert.ok(read.address === A || read.address === null)
      assert.deepEqual(await decryptKeyFile(read, 'secret'), KEY_A)
      await assert.rejects(decryptKeyFile(read, 'other'), { code: 'wrong-password' })
    }
  })
}

test('pbkdf2 is read in any case too', async () => {
  const { kdf, kdfparams, ...rest } = DEFINITION.pbkdf2
  const crypto = {
    ...rest,
    KDF: kdf.toUpperCase(),
    KdfParams: { ...kdfparams, c: `${kdfparams.c}`, prf: 'HMAC-SHA256' },
  }
  const text = JSON.stringify({ crypto, version: 3 })
  assert.deepEqual(await decryptKeyFile(parseKeyFile(text), DEFINITION.password), DEFINITION.key)
})

test('what is refused says which part of the standard it misses', async () => {
  const good = JSON.parse(await encryptKey(KEY_A, 'secret', systemDice, LIGHT))
  const { crypto } = good
  const withCrypto = (over: object) => ({ ...good, crypto: { ...crypto, ...over } })
  const withParams = (over: object) => withCrypto({ kdfparams: { ...crypto.kdfparams, ...over } })
  const start = 'it is not a Web3 key file of version 3: '
  const cases: readonly (readonly [unknown, string])[] = [
    [[], `${start}it is JSON, but not an object`],
    [{ ...good, version: undefined }, `${start}it has no "version"`],
    [{ ...good, version: 1 }, `${start}its "version" is "1", not 3`],
    [{ ...good, crypto: undefined }, `${start}it has no "crypto"`],
    [{ ...good, crypto: 'text' }, `${start}its "crypto" is not an object`],
    [withCrypto({ mac: undefined }), `${start}it has no "crypto.mac"`],
    [withCrypto({ ciphertext: 'zz' }), `${start}its "crypto.ciphertext" is not hexadecimal`],
    [withCrypto({ kdf: 7 }), `${start}its "crypto.kdf" is not text, or too long`],
    [
      { ...good, address: '0x12' },
      `${start}its "address" is "0x12", not an address of 40 hexadecimal digits`,
    ],
    [
      withCrypto({ cipher: 'aes-128-cbc' }),
      'its "crypto.cipher" is "aes-128-cbc", where only aes-128-ctr can be read',
    ],
    [withCrypto({ cipherparams: {} }), 'it has no "crypto.cipherparams.iv"'],
    [withCrypto({ cipherparams: { iv: 'abcd' } }), 'its "crypto.cipherparams.iv" has 2 bytes, not 16'],
    [withCrypto({ kdf: 'argon2' }), 'its "crypto.kdf" is "argon2", where only scrypt and pbkdf2 can be read'],
    [withCrypto({ kdfparams: {} }), 'it has no "crypto.kdfparams.dklen"'],
    [withParams({ dklen: 64 }), 'its "crypto.kdfparams.dklen" is "64", not 32'],
    [withParams({ salt: null }), 'its "crypto.kdfparams.salt" is not text, or too long'],
    [withParams({ n: 1000 }), 'its "crypto.kdfparams.n" is "1000", not a power of two'],
    [withParams({ n: 2.5 }), 'its "crypto.kdfparams.n" is not a whole number'],
    [withParams({ r: 0 }), 'its "crypto.kdfparams.r" is "0", less than 1'],
    [
      withParams({ n: 2 ** 30 }),
      `its "crypto.kdfparams" ask for more memory or work than is given: scrypt with n=${2 ** 30}, r=8, p=1`,
    ],
  ]
  for (const [content, message] of cases) {
    const open = async () => decryptKeyFile(parseKeyFile(JSON.stringify(content)), 'secret')
    await assert.rejects(open, { message }, message)
  }
  assert.throws(() => parseKeyFile('{"broken":'), { message: `${start}it is not JSON` })
})

interface KeyFileText {
  readonly address: string
  readonly crypto: {
    readonly cipherparams: { readonly iv: string }
    readonly ciphertext: string
    readonly mac: string
    readonly kdfparams: Readonly<Record<'dklen' | 'n' | 'p' | 'r' | 'salt', number | string>>
  }
}

function renamed(value: unknown, change: (name: string) => string): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [change(name), renamed(part, change)]),
  )
}

test('the first account in the order of paths is used, foreign files are not touched', async () => {
  await put(KEY_B, 'secret', keystore, 1_700_000_001_000)
  const first = await put(KEY_A, 'secret', keystore, 1_700_000_000_000)
  await writeFile(join(keystore, '.hidden'), await readFile(first))
  await writeFile(join(keystore, 'backup~'), 'x')
  await writeFile(join(keystore, 'notes.txt'), 'x')
  await mkdir(join(keystore, 'AAA'))
  await symlink(first, join(keystore, 'AAB'))
  const listing = await listKeystore(keystore)
  assert.deepEqual(
    listing.accounts.map(({ address }) => address),
    [A, B],
  )
  assert.deepEqual(
    listing.ignored.map(({ path }) => path),
    [join(keystore, 'notes.txt')],
  )
  assert.equal((await openWallet(options(), needs())).address, A)
  assert.equal((await openWallet(options({ address: B }), needs())).address, B)
})

for (const [how, address] of [
  ['the first account is used', null],
  ['the account is named', A],
] as const) {
  test(`files in the keystore that are no key files are named when ${how}`, async () => {
    const path = await put(KEY_A)
    const truncated = join(keystore, 'UTC--2024-01-01T00-00-00.000000000Z--truncated')
    await writeFile(truncated, (await readFile(path, 'utf8')).slice(0, 100))
    const log = new RecordingLog()
    assert.equal((await openWallet(options({ address }), { ...needs(), log })).address, A)
    assert.deepEqual(log.of('warn'), ['files in the keystore that cannot be used'])
    assert.equal(
      log.lines[0]!.fields.files,
      `${truncated}: it is not a Web3 key file of version 3: it is not JSON`,
    )
  })
}

test('a new account is said to need what its node’s role needs, and no more', async () => {
  for (const [newAccountNeeds, message] of [
    ['send it ether', 'new account created: back up its file and send it ether'],
    ['', 'new account created: back up its file'],
  ] as const) {
    const log = new RecordingLog()
    await openWallet({ ...options(), newAccountNeeds }, { ...needs(), log })
    assert.deepEqual(log.of('warn'), [message])
    await rm(keystore, { recursive: true })
  }
})

test('an account that is not there is refused with those that are, and none is made', async () => {
  await put(KEY_A)
  await assert.rejects(openWallet(options({ address: B }), needs()), {
    code: 'account-not-found',
    message: `-ethAcctAddr ${B} is not in the keystore ${keystore}, which holds ${A}; no account is created in its place`,
  })
  assert.equal((await readdir(keystore)).length, 1)
})

test('an account named with an empty keystore is refused too, and none is made', async () => {
  await assert.rejects(openWallet(options({ address: B }), needs()), {
    code: 'account-not-found',
    message: `-ethAcctAddr ${B} is not in the keystore ${keystore}, which holds none; no account is created in its place`,
  })
  await assert.rejects(readdir(keystore), { code: 'ENOENT' })
})

test('an account is made only in an empty keystore: private, complete, opened again by the same password', async () => {
  const made = await openWallet(options(), needs())
  const [name, ...more] = await readdir(keystore)
  assert.deepEqual(more, [])
  assert.match(
    name!,
    new RegExp(
      `^UTC--\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\d\\.\\d{9}Z--${made.address.slice(2).toLowerCase()}$`,
    ),
  )
  assert.equal((await stat(join(keystore, name!))).mode & 0o777, 0o600)
  assert.equal((await stat(keystore)).mode & 0o777, 0o700)
  assert.equal((await openWallet(options(), needs())).address, made.address)
})

test('a keystore whose only files cannot be read is not taken for an empty one', async () => {
  await mkdir(keystore)
  await writeFile(join(keystore, `UTC--2024-01-01T00-00-00.000000000Z--${A.slice(2)}`), '{"broken":')
  await assert.rejects(openWallet(options(), needs()), {
    code: 'bad-key-file',
    message:
      /^no account in the keystore .* can be read, and it is not empty \(.*--.{40}: it is not a Web3 key file of version 3: it is not JSON\): repair or remove what is there; no account is created beside it$/,
  })
  assert.equal((await readdir(keystore)).length, 1)
})

test('a keystore that cannot be written is named with the cause', async () => {
  await writeFile(keystore, 'x')
  await assert.rejects(writeKeyFile(keystore, KEY_A, 'secret', { scryptN: LIGHT.n }), {
    code: 'keystore-unusable',
    message: `no key file can be written in ${keystore}, there is a file where a folder should be: fix that, or give another -ethKeystorePath or -dataDir`,
  })
  await assert.rejects(listKeystore(keystore), {
    message: `the keystore ${keystore} cannot be read, there is a file where a folder should be`,
  })
})

test('a password file serves for making the account and for opening it', async () => {
  const path = join(home, 'password')
  await writeFile(path, '  from the file \n')
  const made = await openWallet(options({ password: path }), needs())
  assert.equal((await openWallet(options({ password: 'from the file' }), needs())).address, made.address)
  await assert.rejects(openWallet(options({ password: join(home, 'other') }), needs()), {
    code: 'wrong-password',
  })
})

test('text that names no readable, filled file is the password itself', async () => {
  await writeFile(join(home, 'empty'), '')
  await writeFile(join(home, 'full'), 'word\n')
  const cases: [string, string][] = [
    [join(home, 'full'), 'word'],
    [join(home, 'empty'), join(home, 'empty')],
    [home, home],
    ['plain', 'plain'],
    ['', ''],
    ['with\0zero', 'with\0zero'],
    ['a'.repeat(5000), 'a'.repeat(5000)],
  ]
  for (const [given, expected] of cases) assert.equal(await resolvePassword(given), expected)
})

test('without a terminal a missing password is a refusal, not a wait', async () => {
  const path = await put(KEY_A)
  const message = `the account ${A} (${path}) needs its password and there is no terminal to ask at: give it with -ethPassword, as text or as the path of a file`
  for (const password of [null, '']) {
    await assert.rejects(openWallet(options({ password }), needs()), { code: 'no-password', message })
  }
  await rm(keystore, { recursive: true })
  await assert.rejects(openWallet(options({ password: null }), needs()), {
    code: 'no-password',
    message: `the keystore ${keystore} is empty and a new account needs a password: give one with -ethPassword, as text or as the path of a file`,
  })
})

test('an account whose password is empty opens without one', async () => {
  await put(KEY_A, '')
  assert.equal((await openWallet(options({ password: null }), needs())).address, A)
})

test('a wrong -ethPassword is refused even at a terminal', async () => {
  await put(KEY_A)
  const prompt = () => Promise.reject(new Error('must not ask'))
  await assert.rejects(openWallet(options({ password: 'wrong' }), needs(prompt)), { code: 'wrong-password' })
})

test('at a terminal the password is asked for, twice for a new account', async () => {
  const answers = ['one', 'two', 'one', 'one', 'one', 'nonsense']
  const prompt = async () => answers.shift()!
  await assert.rejects(openWallet(options({ password: null }), needs(prompt)), {
    message: 'passphrases do not match',
  })
  const made = await openWallet(options({ password: null }), needs(prompt))
  assert.equal((await openWallet(options({ password: null }), needs(prompt))).address, made.address)
  await assert.rejects(openWallet(options({ password: null }), needs(prompt)), { code: 'wrong-password' })
})

test('a key file outside the data directory is the account, and the data directory is left alone', async () => {
  await put(KEY_A)
  const path = await put(KEY_B, 'secret', join(home, 'elsewhere'))
  assert.equal((await openWallet(options({ keystorePath: path }), needs())).address, B)
  assert.equal((await openWallet(options({ keystorePath: join(home, 'elsewhere') }), needs())).address, B)
  await assert.rejects(openWallet(options({ keystorePath: path, address: A }), needs()), {
    code: 'account-mismatch',
    message: `-ethKeystorePath ${path} is the key of ${B}, but -ethAcctAddr asks for ${A}`,
  })
  await assert.rejects(openWallet(options({ keystorePath: join(home, 'nowhere') }), needs()), {
    code: 'keystore-unusable',
  })
  await chmod(path, 0o600)
})

test('messages and transactions are signed by the account, transactions to the same bytes each time', async () => {
  const wallet = walletOfKey(KEY_A)
  const hash = keccak256(KEY_B)
  assert.equal(recoverSigner(hash, await wallet.sign(hash)), A)
  const transaction = {
    type: 'eip1559',
    chainId: 54321,
    nonce: 7,
    to: B,
    data: '0x1234',
    value: 5n,
    gas: 21_000n,
    maxFeePerGas: 10n,
    maxPriorityFeePerGas: 1n,
  } as const
  const signed = await wallet.signTransaction(transaction)
  assert.deepEqual(await wallet.signTransaction(transaction), signed)
  assert.equal(formatHex(keccak256(parseHex(signed.raw))), signed.hash)
  assert.equal(parseTransaction(signed.raw).nonce, 7)
  assert.equal(await recoverTransactionAddress({ serializedTransaction: signed.raw as `0x02${string}` }), A)
  const typed = {
    domain: { name: 'Livepeer', chainId: 1 },
    types: { Note: [{ name: 'text', type: 'string' }] },
    primaryType: 'Note',
    message: { text: 'hello' },
  } as const
  const signature = await wallet.signTypedData(typed)
  assert.equal(await verifyTypedData({ ...typed, address: A, signature }), true)
})
