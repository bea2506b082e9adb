import { join } from 'node:path'
import { devnetKeyBytes } from '../../../devnet/artifacts.ts'
import { writeKeyFile } from '../../../src/io/chain/keystore.ts'
import type { Mistake } from '../mistake.ts'

/** The chain is not asked before the account is open. */
const GATEWAY =
  '-gateway -httpAddr 127.0.0.1:{port} -network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}'

/** Accounts, key files and passwords. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'an account that is not in the keystore',
    flags: `${GATEWAY} -ethAcctAddr {address:gateway}`,
    ends: 1,
    says: '-ethAcctAddr {address:gateway} is not in the keystore data/keystore, which holds none; no account is created in its place',
    flag: '-ethAcctAddr',
  },
  {
    name: 'an account other than those in the keystore',
    flags: `${GATEWAY} -ethAcctAddr {address:gateway} -ethPassword devnet`,
    keys: ['orchestrator'],
    ends: 1,
    says: /^-ethAcctAddr {address:gateway} is not in the keystore data\/keystore, which holds {address:orchestrator}/,
    flag: '-ethAcctAddr',
  },
  {
    name: 'no password for a new account',
    flags: GATEWAY,
    ends: 1,
    says: 'the keystore data/keystore is empty and a new account needs a password: give one with -ethPassword, as text or as the path of a file',
    flag: '-ethPassword',
  },
  {
    name: 'a keystore that does not exist',
    flags: `${GATEWAY} -ethKeystorePath nowhere`,
    ends: 1,
    says: '-ethKeystorePath nowhere does not exist: name a directory or a key file',
    flag: '-ethKeystorePath',
  },
  {
    name: 'a wrong password',
    flags: `${GATEWAY} -ethPassword wrong`,
    keys: ['gateway'],
    ends: 1,
    says: /^-ethPassword does not open the account {address:gateway} \(data\/keystore\/UTC--.*\); it may be the password or the path of a file that holds it$/,
    flag: '-ethPassword',
  },
  {
    name: 'no password where nobody can be asked',
    flags: GATEWAY,
    keys: ['gateway'],
    ends: 1,
    says: /^the account {address:gateway} \(.*\) needs its password and there is no terminal to ask at: give it with -ethPassword, as text or as the path of a file$/,
    flag: '-ethPassword',
  },
  {
    name: 'an address with a typing error',
    flags: `${GATEWAY} -ethAcctAddr 0x70997970c51812dc3A010C7d01b50e0d17dc79C8`,
    ends: 1,
    says: '-ethAcctAddr: 0x70997970c51812dc3A010C7d01b50e0d17dc79C8 has a wrong checksum: correct the mistyped digit, or write the address in lower case',
    flag: '-ethAcctAddr',
  },
  {
    name: 'an address that is too short',
    flags: `${GATEWAY} -ethAcctAddr 0x7099`,
    ends: 1,
    says: '-ethAcctAddr: "0x7099" is not an address: 40 hexadecimal digits',
    flag: '-ethAcctAddr',
  },
  {
    name: 'the zero address as the registered orchestrator',
    flags: `${GATEWAY} -ethOrchAddr 0x0000000000000000000000000000000000000000`,
    ends: 1,
    says: '-ethOrchAddr is the zero address: give the address of an account',
    flag: '-ethOrchAddr',
  },
  {
    name: 'a key file of another account',
    flags: `${GATEWAY} -ethKeystorePath key.json -ethAcctAddr {address:gateway} -ethPassword devnet`,
    prepare: async ({ folder }) => {
      const { rename } = await import('node:fs/promises')
      const path = await writeKeyFile(join(folder, 'keys'), devnetKeyBytes('orchestrator'), 'devnet', {
        scryptN: 2 ** 12,
      })
      await rename(path, join(folder, 'key.json'))
      return true
    },
    ends: 1,
    says: '-ethKeystorePath key.json is the key of {address:orchestrator}, but -ethAcctAddr asks for {address:gateway}',
    flag: '-ethKeystorePath',
  },
  {
    name: 'a keystore with nothing but a foreign file',
    flags: `${GATEWAY} -ethPassword devnet`,
    files: { 'data/keystore/notes.txt': 'my keys' },
    ends: 1,
    says: /^no account in the keystore data\/keystore can be read, and it is not empty \(.*notes\.txt.*\): repair or remove what is there; no account is created beside it$/,
    flag: null,
  },
  {
    name: 'a key file that asks for too much memory',
    flags: `${GATEWAY} -ethPassword devnet`,
    files: {
      'data/keystore/key.json': JSON.stringify({
        address: '70997970c51812dc3a010c7d01b50e0d17dc79c8',
        version: 3,
        crypto: {
          ...{ cipher: 'aes-128-ctr', ciphertext: '00'.repeat(32), mac: '00'.repeat(32) },
          cipherparams: { iv: '00'.repeat(16) },
          kdf: 'scrypt',
          kdfparams: { dklen: 32, n: 2 ** 30, p: 1, r: 8, salt: '00'.repeat(32) },
        },
      }),
    },
    ends: 1,
    says: /^the key file data\/keystore\/key\.json cannot be used: its "crypto\.kdfparams" ask for more memory or work than is given: scrypt with n=1073741824, r=8, p=1$/,
    flag: null,
  },
  {
    name: 'several accounts and none named',
    flags: '-gateway -httpAddr 127.0.0.1:{port} {chain} -ethPassword devnet',
    keys: ['gateway', 'orchestrator'],
    ends: 'runs',
    says: 'several accounts in the keystore, using the first: name one with -ethAcctAddr',
    flag: '-ethAcctAddr',
  },
]
