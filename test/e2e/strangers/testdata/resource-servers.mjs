// Resource servers that know the server by its metadata and key set alone: jose
// by hand, and Express with express-oauth2-jwt-bearer in strict mode. Before that
// a client that signs with EdDSA by jose, as openid-client would say Ed25519.
import express from 'express'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import { createRemoteJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { assert, input, step } from './input.mjs'

const { machine, rsa, shop, user } = input
const token = async (client, parameters) => {
  const response = await fetch(`${input.issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: client.id, client_secret: client.secret, ...parameters }),
  })
  assert.equal(response.status, 200)
  return (await response.json()).access_token
}
const byMachine = await token(machine, { grant_type: 'client_credentials', scope: 'Reader' })
const byRSA = await token(rsa, { grant_type: 'client_credentials' })
const byUser = await token(shop, { grant_type: 'password', ...user })

const { publicKey, privateKey } = await generateKeyPair('EdDSA')
const registered = await fetch(`${input.issuer}/oauth/register`, {
  method: 'POST',
  headers: {
    authorization: `Bearer ${await token(input.admin, { grant_type: 'client_credentials' })}`,
    'content-type': 'application/json',
  },
  body: JSON.stringify({
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: ['client_credentials'],
    jwks: { keys: [await exportJWK(publicKey)] },
  }),
})
assert.equal(registered.status, 201)
const { client_id } = await registered.json()
const assertion = await new SignJWT({ jti: crypto.randomUUID() })
  .setProtectedHeader({ alg: 'EdDSA' })
  .setIssuer(client_id)
  .setSubject(client_id)
  .setAudience(input.issuer)
  .setExpirationTime('1m')
  .sign(privateKey)
const asserted = () =>
  fetch(`${input.issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }),
  })
assert.equal((await asserted()).status, 200)
assert.equal((await asserted()).status, 400)
step('private_key_jwt by EdDSA, once')

const keys = createRemoteJWKSet(new URL(`${input.issuer}/oauth/jwks`))
for (const jwt of [byMachine, byRSA, byUser]) {
  const rules = {
    issuer: input.issuer,
    audience: input.issuer,
    typ: 'at+jwt',
    requiredClaims: ['sub', 'client_id', 'jti', 'iat', 'exp'],
  }
  await jwtVerify(jwt, keys, rules)
  await assert.rejects(jwtVerify(jwt, keys, { ...rules, audience: 'https://elsewhere.example' }))
}
assert.equal(decodeProtectedHeader(byRSA).alg, 'RS256')
step('jose')

const serve = async (alg) => {
  const app = express()
  app.use(auth({ issuerBaseURL: input.issuer, audience: input.issuer, tokenSigningAlg: alg, strict: true }))
  app.get('/', requiredScopes('Reader'), (request, response) => response.json(request.auth.payload))
  app.use((error, request, response, next) =>
    response
      .status(error.status ?? 500)
      .set(error.headers ?? {})
      .end(error.message),
  )
  const listener = await new Promise((ready) => {
    const l = app.listen(0, '127.0.0.1', () => ready(l))
  })
  return { url: `http://127.0.0.1:${listener.address().port}/`, end: () => listener.close() }
}
const get = (url, jwt) => fetch(url, { headers: { authorization: `Bearer ${jwt}` } })
for (const [alg, good, bad] of [
  ['ES256', byMachine, byRSA],
  ['RS256', byRSA, byMachine],
]) {
  const api = await serve(alg)
  const answer = await get(api.url, good)
  assert.equal(answer.status, 200, await answer.clone().text())
  assert.equal((await answer.json()).iss, input.issuer)
  assert.equal((await get(api.url, bad)).status, 401)
  assert.equal((await get(api.url, good.slice(0, -4) + 'AAAA')).status, 401)
  if (alg === 'ES256') assert.equal((await get(api.url, byUser)).status, 403)
  api.end()
}
step('express-oauth2-jwt-bearer, strict')
