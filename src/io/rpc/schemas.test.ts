import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

test('the generated code matches the schemas in proto/', () => {
  const directory = mkdtempSync(join(tmpdir(), 'livepeer-gen-'))
  try {
    const bin = join(root, 'node_modules/.bin')
    execFileSync(join(bin, 'buf'), ['generate', '--output', directory], {
      cwd: root,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
      stdio: 'pipe',
    })
    const generated = join(directory, 'src/io/rpc/gen')
    const committed = join(root, 'src/io/rpc/gen')
    assert.deepEqual(readdirSync(generated).sort(), readdirSync(committed).sort())
    for (const file of readdirSync(committed)) {
      assert.equal(
        readFileSync(join(generated, file), 'utf8'),
        readFileSync(join(committed, file), 'utf8'),
        `${file}: run npm run gen`,
      )
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})
