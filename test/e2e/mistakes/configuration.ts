import type { Mistake } from '../mistake.ts'

/** Files that flags name: the configuration file, profiles, prices, secrets. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a configuration file that does not exist',
    flags: '-config node.conf',
    ends: 1,
    says: '-config "node.conf" cannot be read or is empty',
    flag: '-config',
  },
  {
    name: 'a misspelt name in the configuration file',
    flags: '-config node.conf',
    files: { 'node.conf': '# a gateway\ngatway\n' },
    ends: 1,
    says: 'there is no flag gatway in line 2 of node.conf: did you mean gateway?',
    flag: 'gateway',
  },
  {
    name: 'a bad value in the configuration file',
    flags: '-config node.conf',
    files: { 'node.conf': 'gateway\nmaxAttempts three\n' },
    ends: 1,
    says: 'maxAttempts in line 2 of node.conf must be a whole number, not "three"',
    flag: 'maxAttempts',
  },
  {
    name: 'an equals sign in the configuration file, behind which a secret may stand',
    flags: '-config node.conf',
    files: { 'node.conf': 'ethPassword=swordfish\n' },
    ends: 1,
    says: 'line 1 of node.conf cannot be read: write ethPassword without a dash, one space, and the value',
    flag: 'ethPassword',
  },
  {
    name: 'a dash in the configuration file',
    flags: '-config node.conf',
    files: { 'node.conf': '-gateway\n' },
    ends: 1,
    says: 'line 1 of node.conf cannot be read: write gateway without a dash, one space, and the value',
    flag: 'gateway',
  },
  {
    name: 'profiles that are not JSON',
    flags: '-gateway -transcodingOptions p.json',
    files: { 'p.json': '[{]' },
    ends: 1,
    says: '-transcodingOptions p.json: the file is not JSON',
    flag: '-transcodingOptions',
  },
  {
    name: 'a width in quotes',
    flags: '-gateway -transcodingOptions p.json',
    files: { 'p.json': '[{"name":"small","width":"640"}]' },
    ends: 1,
    says: '-transcodingOptions p.json: profile 1: "width" must be a whole number from 0 to 16384, not "640"',
    flag: '-transcodingOptions',
  },
  {
    name: 'a token of two words',
    flags: '-gateway -cliToken token.txt',
    files: { 'token.txt': 'two words\n' },
    ends: 1,
    says: '-cliToken must be one word of at most 1000 letters, digits and signs',
    flag: '-cliToken',
  },
  {
    name: 'a price list that does not exist',
    flags:
      '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -pricePerUnit 1 -pricePerGateway prices.json -network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}',
    ends: 1,
    says: '-pricePerGateway: "prices.json" is neither JSON nor a readable file',
    flag: '-pricePerGateway',
  },
  {
    name: 'a price list with a price in quotes',
    flags:
      '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -pricePerUnit 1 -pricePerGateway prices.json -network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}',
    files: {
      'prices.json': '{"gateways":[{"ethaddress":"{address:gateway}","priceperunit":"1","pixelsperunit":1}]}',
    },
    ends: 1,
    says: '-pricePerGateway: gateways.0.priceperunit: must be a number without quotes',
    flag: '-pricePerGateway',
  },
  {
    name: 'a secret on the command line',
    flags:
      '-orchestrator -serviceAddr 127.0.0.1:{port} -httpAddr 127.0.0.1:{port} -orchSecret swordfish -startupAvailabilityCheck=false',
    ends: 'runs',
    says: '-orchSecret is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set LP_ORCHSECRET',
    flag: 'LP_ORCHSECRET',
  },
  {
    name: 'a path of a secret that does not exist',
    flags:
      '-orchestrator -serviceAddr 127.0.0.1:{port} -httpAddr 127.0.0.1:{port} -orchSecret ./secret.txt -startupAvailabilityCheck=false',
    ends: 'runs',
    says: '-orchSecret looks like a path, but no such file can be read, so the text itself is used',
    flag: '-orchSecret',
  },
]
