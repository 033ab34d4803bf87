// An application that signs people in with express-openid-connect. It shows what userinfo says.
const express = require('express')
const { auth, requiresAuth } = require('express-openid-connect')

const input = JSON.parse(process.env.INPUT)
const [host, port] = process.env.LISTEN.split(':')
const app = express()
app.use(
  auth({
    issuerBaseURL: input.issuer,
    baseURL: `http://${process.env.LISTEN}`,
    clientID: input.relyingParty.id,
    clientSecret: input.relyingParty.secret,
    clientAuthMethod: 'client_secret_post',
    secret: 'a secret for the cookies of the application',
    authRequired: false,
    idpLogout: true,
    authorizationParams: { response_type: 'code', scope: 'openid email' },
    routes: { login: false },
  }),
)
app.get('/', (_, response) => response.send('ready'))
app.get('/login', requiresAuth(), async (request, response) => response.json(await request.oidc.fetchUserInfo()))
app.listen(port, host)
