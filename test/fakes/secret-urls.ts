/** A part of a URL that must not be shown, of a form that no other text has. */
const secret = (name: string) => `sEcReT${name}`
const [USER, PASSWORD, KEY, TOKEN] = ['UsEr', 'PaSs', 'KeY0', 'ToKeN'].map(secret)

/** Where providers, webhooks, stores and databases put keys: user, password, path, query, fragment. `at`: host and port. */
export function secretUrlsAt(at: string, scheme: string): string[] {
  return [
    `${scheme}://${at}/v2/${KEY}`,
    `${scheme}://${at}/${KEY}/`,
    `${scheme}://${USER}:${PASSWORD}@${at}/`,
    `${scheme}://${USER}@${at}/rpc`,
    `${scheme}://:${PASSWORD}@${at}/ws/${KEY}?apikey=${TOKEN}`,
    `${scheme}://${at}/?token=${TOKEN}&x=1#${KEY}`,
  ]
}

/** A bucket with its keys. `at`: host and port. */
export function secretStoreAt(at: string): string {
  return `s3+http://${KEY}:${PASSWORD}@${at}/bucket/${TOKEN}`
}

/** URLs as operators give them to flags. */
export const SECRET_URLS: readonly string[] = [
  ...secretUrlsAt('provider.example', 'https'),
  ...secretUrlsAt('provider.example:8546', 'wss'),
  `http:/provider.example/v3/${KEY}`,
  `https://${USER}:${PASSWORD}/${KEY}@provider.example/`,
  `https://${USER}:12/${PASSWORD}@provider.example`,
  `https://provider.example/?keys=${KEY},${TOKEN}`,
  `postgres://${USER}:${PASSWORD}@db.provider.example:5432/tickets?password=${PASSWORD}`,
  `s3+https://${KEY}:${PASSWORD}@s3.provider.example/bucket/${TOKEN}`,
  `s3://${KEY}:${PASSWORD}@eu/bucket`,
  `gs://bucket?keyfile=${KEY}`,
  `amqp://${USER}:${PASSWORD}@mq.provider.example:5672/${KEY}`,
  `ftp://${USER}:${PASSWORD}@provider.example/${KEY}`,
]

/** The secrets of these URLs that a text contains. */
export function secretsIn(text: string): string[] {
  return [...new Set(text.match(/secret(user|pass|key0|token)/gi) ?? [])]
}
