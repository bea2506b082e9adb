import { parseHost } from './addresses.ts'
import { environmentName, shown } from './load-flags.ts'
import { entries, isUrl, type Reading, refusal } from './reading.ts'
import type { GatewaySettings } from './settings.ts'

const KAFKA_PORT = 9092
const MAX_BROKERS = 100
/** As Kafka names topics. */
const TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/
/** AMQP's short texts. */
const MAX_EXCHANGE_BYTES = 255
const LEAST_TIMEOUT_MS = 100

/** Reads the URL of the broker that gets events about segments; empty for none. Throws SettingsError, whose text shows nothing of it. */
export function readMetadataUrl(reading: Reading): string {
  const name = 'metadataQueueUri'
  const url = reading.textOrFile(name)
  const spelled = reading.spelled(name)
  if (url === '') return url
  if (!isUrl(url, ['amqp:', 'amqps:'])) {
    throw refusal(
      `${spelled} is neither a URL such as amqp://user:password@host:5672/ or amqps://… nor a file with one`,
    )
  }
  if (url === reading.flags[name] && spelled.startsWith('-') && URL.parse(url)?.password) {
    reading.warnings.push(
      `${spelled} is given with a password on the command line, which every user of this machine can read: write the URL to a file and give its path, or set ${environmentName(name)}`,
    )
  }
  return url
}

/** Reads how events about segments are sent to an AMQP broker (gateway.md §13); null for not at all. Throws SettingsError. */
export function readMetadata(reading: Reading): GatewaySettings['metadata'] {
  const { metadataAmqpExchange: exchange, metadataQueueUri } = reading.flags
  if (metadataQueueUri === '') {
    for (const name of ['metadataAmqpExchange', 'metadataPublishTimeout'] as const) {
      if (reading.isChanged(name)) {
        reading.warnings.push(`${reading.spelled(name)} has no effect without -metadataQueueUri`)
      }
    }
    return null
  }
  const bytes = Buffer.byteLength(exchange)
  if (bytes === 0 || bytes > MAX_EXCHANGE_BYTES) {
    throw refusal(
      `${reading.spelled('metadataAmqpExchange')} must be a name of 1 to ${MAX_EXCHANGE_BYTES} bytes, not of ${bytes}`,
    )
  }
  return { exchange, timeoutMs: reading.wait('metadataPublishTimeout', LEAST_TIMEOUT_MS) }
}

/** Reads how events are sent to Kafka (operations.md §1.2); null for not at all. Throws SettingsError. */
export function readKafka(reading: Reading): GatewaySettings['kafka'] {
  const { flags } = reading
  const names = ['kafkaBootstrapServers', 'kafkaUser', 'kafkaPassword', 'kafkaGatewayTopic'] as const
  const given = names.filter((name) => flags[name] !== '')
  if (given.length === 0) return null
  const spelled = given.map((name) => reading.spelled(name))
  const missing = [
    ...(flags.monitor ? [] : ['-monitor']),
    ...(['kafkaBootstrapServers', 'kafkaGatewayTopic'] as const)
      .filter((name) => flags[name] === '')
      .map((name) => `-${name}`),
  ]
  if (missing.length > 0) {
    const have = given.length > 1 ? 'have' : 'has'
    reading.warnings.push(`${listed(spelled)} ${have} no effect without ${listed(missing)}`)
    return null
  }
  if ((flags.kafkaUser === '') !== (flags.kafkaPassword === '')) {
    const [is, other] =
      flags.kafkaUser === '' ? (['Password', 'User'] as const) : (['User', 'Password'] as const)
    throw refusal(
      `${reading.spelled(`kafka${is}`)} needs -kafka${other}: with both, events go to Kafka over TLS with that name and password`,
    )
  }
  if (!TOPIC.test(flags.kafkaGatewayTopic)) {
    throw refusal(
      `${reading.spelled('kafkaGatewayTopic')} ${shown(flags.kafkaGatewayTopic)} is not the name of a topic: it has 1 to 249 letters, digits, dots, dashes and underscores`,
    )
  }
  return { brokers: readBrokers(reading), topic: flags.kafkaGatewayTopic, user: flags.kafkaUser }
}

function readBrokers(reading: Reading): readonly { readonly host: string; readonly port: number }[] {
  const spelled = reading.spelled('kafkaBootstrapServers')
  const given = entries(reading.flags.kafkaBootstrapServers)
  if (given.length === 0 || given.length > MAX_BROKERS) {
    throw refusal(`${spelled} lists ${given.length} servers: give between 1 and ${MAX_BROKERS}`)
  }
  return given.map((entry) => {
    const address = parseHost(entry)
    if (!address) throw refusal(`${spelled} ${shown(entry)} is not an address: write HOST:PORT`)
    return { host: address.host, port: address.port ?? KAFKA_PORT }
  })
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
