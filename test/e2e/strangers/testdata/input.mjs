// What the tests tell the scripts: where the server is, and who there is.
import assert from 'node:assert/strict'

export const input = JSON.parse(process.env.INPUT)
export { assert }

export const step = (what) => console.log('ok', what)

// fails demands that an OAuth error comes, with that code and status.
export async function fails(promise, code, status) {
  const error = await promise.then(
    () => assert.fail(`no ${code} came`),
    (e) => e,
  )
  const told = error.error ?? (await error.response?.json())?.error // a challenge comes without having read the body
  assert.equal(told, code, `${error.stack}`)
  assert.equal(error.status, status)
}
