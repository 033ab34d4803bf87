package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"latchkey/config"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud"
	"latchkey/oauth/server/listen"
	"latchkey/otp"
)

// surfaces are what the dialects are spoken with: the same services, records
// and tokens for all of them.
type surfaces struct {
	provider  *oauth.Provider
	codes     *otp.Service
	passwords *signin.Passwords
	signUps   *otp.Throttle
	usernames *otp.Throttle
	wake      func() // the delivery
}

// routes returns everything that the server serves.
func (a *app) routes(s surfaces) (*http.ServeMux, error) {
	v1, err := a.newOrderCloud(s)
	if err != nil {
		return nil, err
	}
	v2, err := a.newElasticPath(s)
	if err != nil {
		return nil, err
	}
	operations := slices.Concat(s.provider.Operations(), v1.Operations(), v2.Operations())
	document, err := openapi.Document(openapi.Info{Title: "Latchkey", Version: buildVersion().Version, ServerURL: a.cfg.Issuer}, operations)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.provider.Mount(mux)
	v1.Mount(mux)
	v2.Mount(mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(document) // a client that has gone gets nothing
	})
	return mux, nil
}

func (a *app) newOrderCloud(s surfaces) (*ordercloud.API, error) {
	rules, err := admin.New(a.store)
	if err != nil {
		return nil, err
	}
	return ordercloud.New(ordercloud.Config{
		Bearer: s.provider, Rules: rules,
		Stores: ordercloud.Stores{
			Clients: a.store, Secrets: a.store, Profiles: a.store, Assignments: a.store, Accounts: a.store,
			Users: a.store, Logins: a.store, Senders: a.store, DeliveryConfigs: a.store, Records: a.store, Messages: a.store, Keys: a.ring,
		},
		Tx: a.store, Passwords: s.passwords, Codes: s.codes, AdmitUsername: s.usernames.TakeFor,
		RenewalOrigins: texts(a.cfg.RenewalOrigins), ClientSigningAlg: clientSigningAlg(a.cfg),
		Sealer: a.sealer, Peppers: a.peppers, Wake: s.wake,
		TraceID: listen.RequestID, Address: listen.ClientAddr, Recorder: a.events,
		Now: a.now, Rand: a.random, Logger: a.log,
	})
}

// clientSigningAlg returns the JWS algorithm of API clients that are created
// through /v1 and name none. It is RS256, because OrderCloud's own token checkers
// build RSA keys only. A setting that names an algorithm counts for these clients
// like for all others, whose record then names none ("").
func clientSigningAlg(cfg config.Config) string {
	if cfg.SigningAlg == "" {
		return keys.RS256
	}
	return ""
}

func (a *app) newElasticPath(s surfaces) (*elasticpath.API, error) {
	rules, err := admin.New(a.store)
	if err != nil {
		return nil, err
	}
	return elasticpath.New(elasticpath.Config{
		Issuer: a.cfg.Issuer,
		Bearer: s.provider, Rules: rules,
		Realms: a.store, Profiles: a.store, Users: a.store, Logins: a.store, Accounts: a.store, Memberships: a.store, Senders: a.store,
		Codes: s.codes, Passwords: s.passwords, SignIns: s.provider.Authenticator(), Tokens: s.provider, AccessTokens: s.provider,
		Sealer:      a.sealer,
		AdmitSignUp: s.signUps.Take, AdmitUsername: s.usernames.TakeFor, GuessCeiling: a.cfg.GuessCeiling,
		TraceID: listen.RequestID, Address: listen.ClientAddr, Recorder: a.events,
		Now: a.now, Rand: a.random, Logger: a.log,
	})
}

func texts[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// originOf returns the origin of a URL (RFC 6454 §4), if it has one.
func originOf(link string) (config.Origin, bool) {
	u, err := url.Parse(link)
	if err != nil || u.User != nil {
		return "", false
	}
	var o config.Origin
	err = o.UnmarshalText([]byte(fmt.Sprintf("%s://%s", u.Scheme, u.Host)))
	return o, err == nil
}
