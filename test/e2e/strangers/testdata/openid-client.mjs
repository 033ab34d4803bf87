// openid-client, as an application would use it.
import * as client from 'openid-client'
import { exportJWK, generateKeyPair } from 'jose'
import { assert, fails, input, step } from './input.mjs'

const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] }
const issuer = new URL(input.issuer)
const discover = (id, secret, auth) => client.discovery(issuer, id, secret, auth, options)

const { machine, shop, admin, user } = input
for (const auth of [client.ClientSecretBasic, client.ClientSecretPost]) {
  const config = await discover(machine.id, undefined, auth(machine.secret))
  const token = await client.clientCredentialsGrant(config, { scope: 'Reader' })
  assert.equal(token.token_type, 'bearer')
  assert.equal((await client.tokenIntrospection(config, token.access_token)).active, true)
  await client.tokenRevocation(config, token.access_token)
  assert.deepEqual(await client.tokenIntrospection(config, token.access_token), { active: false })
  const wrong = await discover(machine.id, undefined, auth('not the secret'))
  const status = auth === client.ClientSecretBasic ? 401 : 400
  await fails(client.clientCredentialsGrant(wrong), 'invalid_client', status)
}
step('client credentials, introspection and revocation, by Basic and by post')

const store = await discover(shop.id, shop.secret)
const signedIn = await client.genericGrantRequest(store, 'password', user)
const renewed = await client.refreshTokenGrant(store, signedIn.refresh_token)
assert.notEqual(renewed.refresh_token, signedIn.refresh_token)
await client.tokenRevocation(store, renewed.refresh_token)
await fails(client.refreshTokenGrant(store, renewed.refresh_token), 'invalid_grant', 400)
assert.deepEqual(await client.tokenIntrospection(store, renewed.access_token), { active: false })
await fails(client.genericGrantRequest(store, 'password', { ...user, password: 'no' }), 'invalid_grant', 400)
step('password grant, rotation, revocation of the whole family')

const config = await discover(machine.id, machine.secret)
const order = await client.clientCredentialsGrant(config, { resource: input.resource })
assert.equal((await client.tokenIntrospection(config, order.access_token)).aud, input.resource)
await fails(client.clientCredentialsGrant(config, { resource: 'https://elsewhere.example/' }), 'invalid_target', 400)
step('a resource')

const operator = await discover(admin.id, admin.secret)
const initial = (await client.clientCredentialsGrant(operator)).access_token
for (const alg of ['ES256', 'RS256', 'PS256']) {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  const registered = await client.dynamicClientRegistration(
    issuer,
    {
      client_name: `with a key of ${alg}`,
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), alg, kid: `the-${alg}-key` }] },
    },
    client.PrivateKeyJwt({ key: privateKey, kid: `the-${alg}-key` }),
    { ...options, initialAccessToken: initial },
  )
  const token = await client.clientCredentialsGrant(registered)
  assert.equal((await client.tokenIntrospection(registered, token.access_token)).active, true)
  const stranger = await generateKeyPair(alg)
  const { client_id } = registered.clientMetadata()
  const forged = await discover(client_id, undefined, client.PrivateKeyJwt({ key: stranger.privateKey, kid: `the-${alg}-key` }))
  await fails(client.clientCredentialsGrant(forged), 'invalid_client', 400)
}
await fails(
  client.dynamicClientRegistration(issuer, { grant_types: ['authorization_code'] }, undefined, {
    ...options,
    initialAccessToken: initial,
  }),
  'invalid_redirect_uri',
  400,
)
step('registration with private_key_jwt, by ES256, RS256 and PS256')

const keys = await client.randomDPoPKeyPair('ES256')
const DPoP = client.getDPoPHandle(config, keys)
const bound = await client.clientCredentialsGrant(operator, {}, { DPoP: client.getDPoPHandle(operator, keys) })
assert.equal(bound.token_type, 'dpop')
const buyers = new URL('/v1/buyers', issuer)
const answer = await client.fetchProtectedResource(config, bound.access_token, buyers, 'GET', null, undefined, { DPoP })
assert.equal(answer.status, 200)
const asBearer = await fetch(buyers, { headers: { authorization: `Bearer ${bound.access_token}` } })
assert.equal(asBearer.status, 401)
const shopKeys = client.getDPoPHandle(store, keys)
const session = await client.genericGrantRequest(store, 'password', user, { DPoP: shopKeys })
const next = await client.refreshTokenGrant(store, session.refresh_token, {}, { DPoP: shopKeys })
assert.equal(next.token_type, 'dpop')
step('DPoP')
