import type { Mistake } from '../mistake.ts'

const CHAIN = '-network devnet -ethUrl http://127.0.0.1:1 -ethController {address:x}'

/** Addresses to listen on. */
export const mistakes: readonly Mistake[] = [
  {
    name: 'a control port in use',
    flags: '-gateway -cliAddr 127.0.0.1:{busy}',
    ends: 1,
    says: 'the control API cannot listen on 127.0.0.1:{busy}: another process uses that port; choose another -cliAddr',
    flag: '-cliAddr',
  },
  {
    name: 'a gateway’s RTMP port in use',
    flags: '-gateway -httpAddr 127.0.0.1:{port} -rtmpAddr 127.0.0.1:{busy}',
    ends: 1,
    says: /^.* cannot listen on 127\.0\.0\.1:{busy}: another process uses that port; choose another -rtmpAddr$/,
    flag: '-rtmpAddr',
  },
  {
    name: 'a gateway’s port in use',
    flags: '-gateway -httpAddr 127.0.0.1:{busy}',
    ends: 1,
    says: /^.* cannot listen on 127\.0\.0\.1:{busy}: another process uses that port; choose another -httpAddr$/,
    flag: '-httpAddr',
  },
  {
    name: 'an orchestrator’s port in use',
    flags: '-orchestrator -orchSecret s -serviceAddr 127.0.0.1:{busy}',
    ends: 1,
    says: /^.* cannot listen on .*:{busy}: another process uses that port; choose another -(httpAddr|serviceAddr)/,
    flag: null,
  },
  {
    name: 'a port above 65535',
    flags: '-gateway -cliAddr 127.0.0.1:65536',
    ends: 1,
    says: '-cliAddr "127.0.0.1:65536" is not an address to listen on: write HOST:PORT, such as 127.0.0.1:5935',
    flag: '-cliAddr',
  },
  {
    name: 'an address of another machine',
    flags: '-gateway -httpAddr 192.0.2.1:{port}',
    ends: 1,
    says: /^.* cannot listen on 192\.0\.2\.1:{port}: .*; choose another -httpAddr$/,
    flag: '-httpAddr',
  },
  {
    name: 'an open control API without a token',
    flags: '-gateway -cliAddr 0.0.0.0:{port}',
    ends: 1,
    says: 'the control API would be open to other machines at -cliAddr 0.0.0.0:{port}: give -cliToken, the secret that clients must send (or -cliToken none if something else protects it)',
    flag: '-cliToken',
  },
  {
    name: 'an open redeemer without a secret',
    flags: `-redeemer -httpAddr 0.0.0.0:{port} ${CHAIN}`,
    ends: 1,
    says: 'the redeemer would accept tickets from anyone who can reach -httpAddr 0.0.0.0:{port}: give it and its orchestrators -redeemerSecret or -certs (or -redeemerSecret none if something else protects it, or while they are Go nodes)',
    flag: '-redeemerSecret',
  },
  {
    name: 'a URL to listen on',
    flags: '-orchestrator -transcoder -serviceAddr 127.0.0.1:{port} -httpAddr ftp://127.0.0.1',
    ends: 1,
    says: '-httpAddr "ftp://127.0.0.1" is not an address to listen on: write HOST:PORT, such as *:8935',
    flag: '-httpAddr',
  },
  {
    name: 'an open gateway without a webhook',
    flags: '-gateway -orchAddr 127.0.0.1:{port2} -httpAddr 0.0.0.0:{port}',
    ends: 'runs',
    says: 'HTTP ingest at /live/ is off because -httpAddr 0.0.0.0:{port} is open to anyone: give -httpIngest to turn it on anyway',
    flag: '-httpIngest',
  },
  {
    name: 'an open control API without protection, on request',
    flags:
      '-gateway -orchAddr 127.0.0.1:{port2} -httpAddr 127.0.0.1:{port} -cliAddr 0.0.0.0:{control} -cliToken none',
    ends: 'runs',
    says: 'the control API listens on 0.0.0.0:{control} without a token: unless something else protects it, give -cliToken, or set -cliAddr to a loopback address',
    flag: '-cliToken',
  },
]
