// oauth4webapi: the strictest reading of the answers, and RFC 9068 validation
// as a resource server does it.
import * as oauth from 'oauth4webapi'
import { assert, input, step } from './input.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(input.issuer)
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
)
step('metadata')

const machine = { client_id: input.machine.id }
const secret = oauth.ClientSecretBasic(input.machine.secret)
const grant = async (parameters, options = {}) =>
  oauth.processClientCredentialsResponse(
    as,
    machine,
    await oauth.clientCredentialsGrantRequest(as, machine, secret, parameters, { ...insecure, ...options }),
  )

const request = (token, scheme = 'Bearer', headers = {}) =>
  new Request('https://api.example/things', { headers: { authorization: `${scheme} ${token}`, ...headers } })

const plain = await grant(new URLSearchParams())
const claims = await oauth.validateJwtAccessToken(as, request(plain.access_token), input.issuer, insecure)
assert.equal(claims.client_id, machine.client_id)
assert.equal(claims.sub, machine.client_id)
await assert.rejects(oauth.validateJwtAccessToken(as, request(plain.access_token), 'https://api.example', insecure))
const forResource = await grant(new URLSearchParams({ resource: input.resource }))
const narrowed = await oauth.validateJwtAccessToken(as, request(forResource.access_token), input.resource, insecure)
assert.deepEqual([narrowed.aud].flat(), [input.resource])
step('RFC 9068 access tokens, with and without a resource')

const keyPair = await oauth.generateKeyPair('ES256')
const DPoP = oauth.DPoP(machine, keyPair)
const bound = await grant(new URLSearchParams(), { DPoP })
assert.equal(bound.token_type, 'dpop')
let proof
await oauth.protectedResourceRequest(bound.access_token, 'GET', new URL('https://api.example/things'), undefined, undefined, {
  DPoP,
  [oauth.customFetch]: async (_, { headers }) => {
    proof = new Headers(headers).get('dpop')
    return new Response()
  },
})
const proven = await oauth.validateJwtAccessToken(as, request(bound.access_token, 'DPoP', { dpop: proof }), input.issuer, {
  requireDPoP: true,
  ...insecure,
})
assert.ok(proven.cnf.jkt)
await assert.rejects(oauth.validateJwtAccessToken(as, request(bound.access_token), input.issuer, insecure))
step('DPoP-bound access tokens')

const introspect = async (token) =>
  oauth.processIntrospectionResponse(as, machine, await oauth.introspectionRequest(as, machine, secret, token, insecure))
assert.equal((await introspect(plain.access_token)).active, true)
await oauth.processRevocationResponse(await oauth.revocationRequest(as, machine, secret, plain.access_token, insecure))
assert.deepEqual(await introspect(plain.access_token), { active: false })
step('introspection and revocation')
