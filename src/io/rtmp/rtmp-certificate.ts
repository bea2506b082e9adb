import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { PassingFailure } from '../../lib/passing-failure.ts'

/** Why the certificate of the RTMP port cannot be used. */
export type RtmpCertificateFault = 'bad-rtmp-cert'

/** The names of certificate and key, as Let's Encrypt, Kubernetes and `livepeer certs` give them; the first pair is taken. */
const PAIRS = [
  ['fullchain.pem', 'privkey.pem'],
  ['tls.crt', 'tls.key'],
  ['cert.pem', 'key.pem'],
] as const
const MAX_FILE_BYTES = 1_000_000
const EXPIRES_SOON_MS = 7 * 24 * 3_600_000

/** Certificate and key as PEM. */
export interface RtmpCertificate {
  readonly cert: string
  readonly key: string
  readonly expiresAtMs: number
}

/**
 * The certificate of the RTMP port in a folder. It is read again when its files change, as they do when it is renewed; one that
 * cannot be used leaves the one before in place.
 */
export class RtmpCertificateFolder {
  readonly #folder: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #unusable: PassingFailure
  #state = ''
  #isWarned = false

  /** `folder`: `-rtmpCert`. */
  constructor(folder: string, needs: { readonly clock: Clock; readonly log: Log }) {
    this.#folder = folder
    this.#clock = needs.clock
    this.#log = needs.log
    this.#unusable = new PassingFailure(
      {
        message: 'changed RTMP certificate cannot be used, the one before stays',
        over: 'RTMP certificate can be used again',
        first: 'info',
      },
      needs,
    )
  }

  /** Throws NodeError `bad-rtmp-cert` with a sentence for the operator. */
  async read(): Promise<RtmpCertificate> {
    const [names, state] = await this.#look()
    const certificate = await this.#load(names)
    this.#state = state
    this.#warnOfEnd(certificate)
    return certificate
  }

  /** The new certificate, if it has changed since it was read last and can be used; null otherwise. Never rejects. */
  async changed(): Promise<RtmpCertificate | null> {
    try {
      const [names, state] = await this.#look()
      if (state === this.#state) {
        this.#unusable.passed()
        return null
      }
      const certificate = await this.#load(names)
      this.#state = state
      this.#unusable.passed()
      const expires = new Date(certificate.expiresAtMs).toISOString()
      this.#log.info('RTMP certificate changed', { expires })
      this.#isWarned = false
      this.#warnOfEnd(certificate)
      return certificate
    } catch (error) {
      this.#unusable.failed({ reason: messageOf(error) })
      return null
    }
  }

  /** The names of the files, and what tells whether they have changed. */
  async #look(): Promise<[names: readonly [string, string], state: string]> {
    for (const names of PAIRS) {
      const found = await Promise.all(names.map((name) => stat(join(this.#folder, name)).catch(() => null)))
      if (found.every((facts) => facts === null)) continue
      const state = found.map((facts) => facts && [facts.ino, facts.mtimeMs, facts.size])
      return [names, JSON.stringify([names, state])]
    }
    const names = PAIRS.map((pair) => pair.join(' and ')).join(', ')
    throw this.#bad(`holds no certificate: it must have ${names}`)
  }

  async #load([certName, keyName]: readonly [string, string]): Promise<RtmpCertificate> {
    const [cert, key] = await Promise.all([this.#file(certName), this.#file(keyName)])
    let certificate: X509Certificate
    let fits: boolean
    try {
      certificate = new X509Certificate(cert)
      fits = certificate.checkPrivateKey(createPrivateKey(key))
    } catch (error) {
      throw this.#bad(`cannot be used: ${certName} and ${keyName} must be PEM (${messageOf(error)})`)
    }
    if (!fits) throw this.#bad(`cannot be used: ${keyName} is not the key of ${certName}`)
    return { cert, key, expiresAtMs: +certificate.validToDate }
  }

  async #file(name: string): Promise<string> {
    try {
      const path = join(this.#folder, name)
      const { size } = await stat(path)
      if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes, of at most ${MAX_FILE_BYTES}`)
      return await readFile(path, 'utf8')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw this.#bad(`cannot be used: ${name} cannot be read (${code ?? messageOf(error)})`)
    }
  }

  /** Publishers that check it refuse one that has expired; others do not care. */
  #warnOfEnd({ expiresAtMs }: RtmpCertificate): void {
    const leftMs = expiresAtMs - this.#clock.now()
    if (this.#isWarned || leftMs > EXPIRES_SOON_MS) return
    this.#isWarned = true
    const expires = new Date(expiresAtMs).toISOString()
    this.#log.warn(leftMs > 0 ? 'RTMP certificate expires soon' : 'RTMP certificate has expired', { expires })
  }

  #bad(what: string): NodeError<RtmpCertificateFault> {
    return new NodeError<RtmpCertificateFault>('bad-rtmp-cert', `-rtmpCert ${this.#folder} ${what}`)
  }
}
