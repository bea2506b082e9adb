import { spawnSync } from 'node:child_process'
import { freePort } from '../../devnet/free-port.ts'
import { type Leashed, spawnLeashed } from '../../devnet/leash.ts'
import { eventually } from '../tools/until.ts'

/** Requests that the server takes without a signature, so that a user with a key can be made. */
const UNSIGNED = 4
const START_MS = 60_000

/** Why tests that need the server are skipped; false where it is there. */
export const NO_S3_SERVER: string | false =
  spawnSync('moto_server', ['--help'], { stdio: 'ignore' }).status === 0
    ? false
    : 'needs moto_server, of the Python package moto'

/**
 * The S3 of moto, a Python package, in a process of its own, with a bucket in its memory. It checks each request's signature
 * and key if it is told to, but no upload forms. It can be killed, and started again at the same port.
 */
export class S3Server implements AsyncDisposable {
  readonly #checksKeys: boolean
  #process: Leashed | null = null
  #port = 0
  #key = 'KEY'
  #secret = 'SECRET'

  private constructor(checksKeys: boolean) {
    this.#checksKeys = checksKeys
  }

  static async open({ checksKeys = false } = {}): Promise<S3Server> {
    const server = new S3Server(checksKeys)
    server.#port = await freePort()
    await server.start()
    return server
  }

  /** HOST:PORT. */
  get at(): string {
    return `127.0.0.1:${this.#port}`
  }

  /** The address of its bucket as a flag; `rest`: a path, and options. */
  addressOf(rest = '', { key = this.#key, secret = this.#secret } = {}): string {
    return `s3+http://${key}:${encodeURIComponent(secret)}@${this.at}/bucket${rest}`
  }

  async start(): Promise<void> {
    const checks = this.#checksKeys ? [`INITIAL_NO_AUTH_ACTION_COUNT=${UNSIGNED}`] : []
    const program = ['moto_server', '-H', '127.0.0.1', '-p', String(this.#port)]
    const child = spawnLeashed('env', [...checks, ...program])
    child.stdout.resume()
    child.stderr.resume()
    this.#process = child
    const answers = async () => (await fetch(`http://${this.at}/moto-api/`).catch(() => null))?.ok === true
    await eventually('the S3 server answers', answers, START_MS)
    if (this.#checksKeys) await this.#makeKey()
    const made = await fetch(`http://${this.at}/bucket`, { method: 'PUT', headers: unsigned('s3') })
    if (!made.ok) throw new Error(`no bucket: ${await made.text()}`)
  }

  /** Ends its process at once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = null
    if (!child) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  /** A user who may do everything with the bucket. */
  async #makeKey(): Promise<void> {
    const ask = async (fields: Record<string, string>) => {
      const body = new URLSearchParams({ Version: '2010-05-08', UserName: 'gateway', ...fields })
      const answer = await fetch(`http://${this.at}/`, { method: 'POST', headers: unsigned('iam'), body })
      return await answer.text()
    }
    await ask({ Action: 'CreateUser' })
    const made = await ask({ Action: 'CreateAccessKey' })
    this.#key = /<AccessKeyId>(.*?)</.exec(made)![1]!
    this.#secret = /<SecretAccessKey>(.*?)</.exec(made)![1]!
    const allowed = { Effect: 'Allow', Action: 's3:*', Resource: '*' }
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [allowed] })
    await ask({ Action: 'PutUserPolicy', PolicyName: 'all', PolicyDocument })
  }
}

/** By which moto knows the service that a request is for. */
function unsigned(service: string): Record<string, string> {
  const credential = `AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/${service}/aws4_request`
  return { authorization: `${credential}, SignedHeaders=host, Signature=x` }
}
