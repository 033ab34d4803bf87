package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/grants"
	"latchkey/oauth/proof"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// TestProofAtTheTokenEndpoint tests which proofs the token endpoint accepts, without nonces.
func TestProofAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(*storage.Client) {})
	issued := mustIssue(t, "a good proof", w.ask(one(p.forToken()), machineForm("app")...), "DPoP")
	if cnf, _ := claimsIn(t, issued)["cnf"].(map[string]any); len(cnf) != 1 || cnf["jkt"] != p.jkt {
		t.Errorf("got cnf %v, want the thumbprint %s", cnf, p.jkt)
	}
	if unbound := mustIssue(t, "no proof", w.ask(nil, machineForm("app")...), "bearer"); claimsIn(t, unbound)["cnf"] != nil {
		t.Error("without a proof: got a bound token")
	}
	mustIssue(t, "at the root", w.ask(one(p.proof(http.MethodPost, "https://id.example/oauth/token")), machineForm("app")...), "DPoP")
	for what, proofs := range map[string][]string{
		"nothing in it":    {""},
		"no JWS":           {"x"},
		"two proofs":       {p.forToken(), p.forToken()},
		"another method":   {p.proof(http.MethodGet, tokenURL)},
		"another endpoint": {p.proof(http.MethodPost, testIssuer+"/oauth/revoke")},
		"another host":     {p.proof(http.MethodPost, "https://example.com/oauth/token")},
		"too old":          {p.forToken("iat", start.Add(-5*time.Minute-time.Second).Unix())},
		"too new":          {p.forToken("iat", start.Add(32*time.Second).Unix())},
		"no jti":           {p.forToken("jti", nil)},
	} {
		mustRefuse(t, what, w.ask(proofs, machineForm("app")...), "invalid_dpop_proof")
	}
}

// TestProofIsGoodOnce tests that a proof can be used once, and that a request that fails for
// another reason does not use the proof.
func TestProofIsGoodOnce(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(*storage.Client) {})
	proof := p.forToken("jti", "again")
	if rec := w.ask(one(proof), append(machineForm("app")[:4:4], "client_secret", "wrong")...); rec.Code == http.StatusOK {
		t.Fatal("a wrong secret was accepted")
	}
	mustRefuse(t, "no such scope", w.ask(one(proof), passwordForm("scope", "Nothing")...), "invalid_scope")
	mustRefuse(t, "no such resource", w.ask(one(proof), passwordForm("resource", ordersAt)...), "invalid_target")
	mustRefuse(t, "a wrong password", w.ask(one(proof), append(passwordForm()[:6:6], "password", "wrong")...), "invalid_grant")
	mustIssue(t, "the first use", w.ask(one(proof), machineForm("app")...), "DPoP")
	mustRefuse(t, "the second use", w.ask(one(proof), machineForm("app")...), "invalid_dpop_proof")
	mustRefuse(t, "by another client", w.ask(one(proof), passwordForm()...), "invalid_dpop_proof")
	mustIssue(t, "the same jti by another key", w.ask(one(newProver(t).forToken("jti", "again")), machineForm("app")...), "DPoP")
	if len(w.families) != 0 {
		t.Error("a replay began a token family")
	}
}

// TestProofWithoutDatabase tests that a proof is refused with 503 if the store cannot remember
// it.
func TestProofWithoutDatabase(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.spendFails = true
	rec := w.ask(one(p.forToken()), passwordForm()...)
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || len(w.families) != 0 {
		t.Errorf("got %d %s and %d families, want 503 and none", rec.Code, rec.Body, len(w.families))
	}
	if rec := w.ask(nil, passwordForm()...); rec.Code != http.StatusOK {
		t.Errorf("without a proof: got %d %s, want 200", rec.Code, rec.Body)
	}
}

// TestProofIsForgotten tests that a used proof is remembered as long as a server may accept it,
// and no longer. That time includes the allowed difference of clocks.
func TestProofIsForgotten(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(*storage.Client) {})
	mustIssue(t, "token", w.ask(one(p.forToken()), machineForm("app")...), "DPoP")
	if want := start.Truncate(time.Second).Add(5*time.Minute + 30*time.Second); len(w.rememberedUntil) != 1 || !w.rememberedUntil[0].Equal(want) {
		t.Errorf("got remembered until %v, want %v", w.rememberedUntil, want)
	}
}

// TestNonce tests that with the setting a proof needs a nonce of the server. Without the
// setting, a nonce may be missing, but must not be another one.
func TestNonce(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(*storage.Client) {})
	if rec := w.ask(one(p.forToken()), machineForm("app")...); rec.Header().Get("DPoP-Nonce") != "" {
		t.Error("got a nonce without the setting, want none")
	}
	strange := w.ask(one(p.forToken("nonce", "strange")), machineForm("app")...)
	mustRefuse(t, "a strange nonce", strange, "use_dpop_nonce")
	mustIssue(t, "the nonce of the answer", w.ask(one(p.forToken("nonce", strange.Header().Get("DPoP-Nonce"))), machineForm("app")...), "DPoP")

	w.configure(t, func(c *Config) { c.DPoPNonce = true })
	refused := w.ask(one(p.forToken()), machineForm("app")...)
	mustRefuse(t, "no nonce", refused, "use_dpop_nonce")
	nonce := refused.Header().Get("DPoP-Nonce")
	granted := w.ask(one(p.forToken("nonce", nonce)), machineForm("app")...)
	mustIssue(t, "the nonce", granted, "DPoP")
	if next := granted.Header().Get("DPoP-Nonce"); next == "" {
		t.Error("got no nonce for the next request, want one")
	}
	if rec := w.ask(nil, machineForm("app")...); rec.Code != http.StatusOK || rec.Header().Get("DPoP-Nonce") != "" {
		t.Errorf("without a proof: got %d %s, want 200 without a nonce", rec.Code, rec.Body)
	}
	for what, forged := range map[string]string{
		"another stretch": strings.Replace(nonce, ".", ".1", 1), "another MAC": nonce[:len(nonce)-2] + "AA", "no MAC": nonce[:strings.LastIndexByte(nonce, '.')+1],
		"an unknown pepper": "x" + nonce, "no pepper": "..", "no number": "a.b.c", "another unknown pepper": "nobody.1.",
	} {
		mustRefuse(t, what, w.ask(one(p.forToken("nonce", forged)), machineForm("app")...), "use_dpop_nonce")
	}
}

// TestBoundClient tests that a client whose tokens must be bound gets no other tokens, from any
// endpoint.
func TestBoundClient(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(c *storage.Client) {
		c.DPoPBound, c.GrantTypes = true, append(c.GrantTypes, grants.GrantImplicit)
	})
	mustRefuse(t, "no proof", w.ask(nil, machineForm("app")...), "invalid_dpop_proof")
	mustIssue(t, "a proof", w.ask(one(p.forToken()), machineForm("app")...), "DPoP")
	form := url.Values{"client_id": {"app"}, "client_secret": {"secret"}}
	if issued, err := w.endpoints.ClientToken(t.Context(), form); err == nil {
		t.Errorf("Elastic Path's endpoint: got the token %v, want an error", issued)
	}
	if issued, _, err := w.endpoints.ImplicitToken(t.Context(), "app"); err == nil {
		t.Errorf("got the implicit token %s, want an error", issued)
	}
	_, issued, err := w.endpoints.Recipients().Recipient(t.Context(), token.RecipientRequest{ClientID: "app", Username: "jane"})
	if err != nil || issued != "" {
		t.Errorf("a message: got the token %q, error %v; want none", issued, err)
	}
	w.clients["app"].DPoPBound = false
	if _, err := w.endpoints.ClientToken(t.Context(), form); err != nil {
		t.Errorf("the same client without the setting: got %v, want no error", err)
	}
}

// TestBoundRefreshToken tests that the refresh token of a public client is bound to the key of
// the sign-in.
func TestBoundRefreshToken(t *testing.T) {
	t.Parallel()
	w, p, thief := newFixture(t), newProver(t), newProver(t)
	signIn := w.ask(one(p.forToken()), passwordForm()...)
	mustIssue(t, "sign-in", signIn, "DPoP")
	first := text(t, signIn, "refresh_token")
	mustRefuse(t, "no key", w.ask(nil, refreshForm(first)...), "invalid_dpop_proof")
	mustRefuse(t, "another key", w.ask(one(thief.forToken()), refreshForm(first)...), "invalid_grant")
	again := w.ask(one(p.forToken()), refreshForm(first)...)
	if issued := mustIssue(t, "the same key", again, "DPoP"); claimsIn(t, issued)["cnf"] == nil {
		t.Error("got a refreshed token without a key, want a bound one")
	}
	// After the grace period, the reuse of an old token ends its family only if the request
	// proves the key.
	w.now = start.Add(2 * time.Minute)
	late := func(p *prover) string { return p.forToken("iat", w.now.Unix()) }
	mustRefuse(t, "the old token, no key", w.ask(nil, refreshForm(first)...), "invalid_dpop_proof")
	mustRefuse(t, "the old token, another key", w.ask(one(late(thief)), refreshForm(first)...), "invalid_grant")
	next := w.ask(one(late(p)), refreshForm(text(t, again, "refresh_token"))...)
	mustIssue(t, "the family was harmed", next, "DPoP")
	mustRefuse(t, "the old token, the key", w.ask(one(late(p)), refreshForm(first)...), "invalid_grant")
	mustRefuse(t, "after the reuse", w.ask(one(late(p)), refreshForm(text(t, next, "refresh_token"))...), "invalid_grant")
}

// TestConfidentialClientChangesKeys tests that the refresh tokens of a confidential client are
// not bound to a key. Each access token is bound to the key of its request.
func TestConfidentialClientChangesKeys(t *testing.T) {
	t.Parallel()
	w, p, q := newFixture(t), newProver(t), newProver(t)
	w.withMachine("desk", func(*storage.Client) {})
	me := []string{"client_id", "desk", "client_secret", "secret"}
	signIn := w.ask(one(p.forToken()), append(me, "grant_type", "password", "username", "jane", "password", "right")...)
	mustIssue(t, "sign-in", signIn, "DPoP")
	second := w.ask(one(q.forToken()), append(me, "grant_type", "refresh_token", "refresh_token", text(t, signIn, "refresh_token"))...)
	issued := mustIssue(t, "another key", second, "DPoP")
	if cnf, _ := claimsIn(t, issued)["cnf"].(map[string]any); cnf["jkt"] != q.jkt {
		t.Errorf("got cnf %v, want the new key", cnf)
	}
	mustIssue(t, "no key", w.ask(nil, append(me, "grant_type", "refresh_token", "refresh_token", text(t, second, "refresh_token"))...), "bearer")
}

// TestBoundSubjectToken tests that a request with a bound token instead of a sign-in must prove
// the key of the token. The new token is bound to the key too.
func TestBoundSubjectToken(t *testing.T) {
	t.Parallel()
	w, p, thief := newFixture(t), newProver(t), newProver(t)
	issued := mustIssue(t, "sign-in", w.ask(one(p.forToken()), passwordForm()...), "DPoP")
	exchange := []string{"grant_type", grants.GrantTokenExchange, "client_id", "shop", "subject_token", issued, "subject_token_type", grants.TokenTypeAccessToken}
	member := []string{"grant_type", grants.GrantAccountMember, "client_id", "shop", "member_token", issued, "account_id", "one"}
	for what, form := range map[string][]string{"exchange": exchange, "account-member grant": member} {
		other := "invalid_grant"
		if what == "exchange" {
			other = "invalid_request" // RFC 8693 §2.2.2
		}
		mustRefuse(t, what+", no key", w.ask(nil, form...), "invalid_dpop_proof")
		mustRefuse(t, what+", another key", w.ask(one(thief.forToken()), form...), other)
		made := mustIssue(t, what, w.ask(one(p.forToken()), form...), "DPoP")
		if cnf, _ := claimsIn(t, made)["cnf"].(map[string]any); cnf["jkt"] != p.jkt {
			t.Errorf("%s: got cnf %v, want the key of the subject token", what, cnf)
		}
	}
}

// TestBoundSelectionToken tests that the choice of an account must prove the key of the
// sign-in.
func TestBoundSelectionToken(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	first := p.forToken()
	required := w.ask(one(first), "grant_type", grants.GrantAccountMember, "client_id", "shop", "username", "jane", "password", "right")
	mustRefuse(t, "several accounts", required, "account_selection_required")
	choose := []string{"grant_type", grants.GrantAccountMember, "client_id", "shop", "selection_token", text(t, required, "selection_token"), "account_id", "one"}
	mustRefuse(t, "no key", w.ask(nil, choose...), "invalid_dpop_proof")
	mustRefuse(t, "another key", w.ask(one(newProver(t).forToken()), choose...), "invalid_grant")
	mustRefuse(t, "the first proof again", w.ask(one(first), choose...), "invalid_dpop_proof")
	made := w.ask(one(p.forToken()), choose...)
	mustIssue(t, "the same key", made, "DPoP")
	mustRefuse(t, "refresh without the key", w.ask(nil, refreshForm(text(t, made, "refresh_token"))...), "invalid_dpop_proof")
}

// resourceRequest returns a request for a resource of the server, with an Authorization header
// and proofs.
func resourceRequest(authorization string, proofs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://inside.example/v1/me?access_token=x", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return r
}

// TestAuthorize tests which access tokens and proofs are accepted for a resource.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	bound := mustIssue(t, "bound", w.ask(one(p.forToken()), passwordForm()...), "DPoP")
	free := mustIssue(t, "free", w.ask(nil, passwordForm()...), "bearer")
	const here = "https://id.example/v1/me"
	good := func(claims ...any) string {
		return p.proof(http.MethodGet, here, append([]any{"ath", hashOf(bound)}, claims...)...)
	}
	once := good()
	tests := []struct {
		name          string
		authorization string
		proofs        []string
		want          error
		challenge     string // text that WWW-Authenticate must contain
	}{
		{"free, as bearer", "Bearer " + free, nil, nil, ""},
		{"bound, with proof", "DPoP " + bound, one(once), nil, ""},
		{"below the issuer's path", "dpop " + bound, one(p.proof(http.MethodGet, testIssuer+"/v1/me", "ath", hashOf(bound))), nil, ""},
		{"with a query", "DPoP " + bound, one(good("htu", here+"?access_token=x")), nil, ""},
		{"the proof again", "DPoP " + bound, one(once), proof.ErrInvalid, `DPoP realm="latchkey", algs="ES256 EdDSA RS256 PS256", error="invalid_dpop_proof"`},
		{"bound, as bearer", "Bearer " + bound, nil, token.ErrInvalidToken, `Bearer realm="latchkey", error="invalid_token"`},
		{"bound, as bearer with proof", "Bearer " + bound, one(good()), token.ErrInvalidToken, "Bearer "},
		{"free, by DPoP", "DPoP " + free, one(p.proof(http.MethodGet, here, "ath", hashOf(free))), token.ErrInvalidToken, `DPoP realm="latchkey", algs="ES256 EdDSA RS256 PS256", error="invalid_token"`},
		{"no proof", "DPoP " + bound, nil, proof.ErrInvalid, `error="invalid_dpop_proof"`},
		{"two proofs", "DPoP " + bound, []string{good(), good()}, proof.ErrInvalid, "DPoP "},
		{"another key", "DPoP " + bound, one(newProver(t).proof(http.MethodGet, here, "ath", hashOf(bound))), token.ErrInvalidToken, `error="invalid_token"`},
		{"ath of another", "DPoP " + bound, one(good("ath", hashOf(free))), proof.ErrInvalid, "DPoP "},
		{"no ath", "DPoP " + bound, one(p.proof(http.MethodGet, here)), proof.ErrInvalid, "DPoP "},
		{"another path", "DPoP " + bound, one(good("htu", here+"/orders")), proof.ErrInvalid, "DPoP "},
		{"the host of the request", "DPoP " + bound, one(good("htu", "http://inside.example/v1/me")), proof.ErrInvalid, "DPoP "},
		{"another method", "DPoP " + bound, one(good("htm", "POST")), proof.ErrInvalid, "DPoP "},
		{"a strange nonce", "DPoP " + bound, one(good("nonce", "x")), proof.ErrUseNonce, `error="use_dpop_nonce"`},
		{"no token of ours", "DPoP x", one(good()), token.ErrInvalidToken, `error="invalid_token"`},
		{"in the query alone", "", nil, token.ErrNoToken, `Bearer realm="latchkey"`},
		{"another scheme", "Basic " + free, nil, token.ErrNoToken, ""},
		{"no token", "DPoP ", one(good()), token.ErrNoToken, ""},
	}
	for _, test := range tests {
		caller, err := w.endpoints.tokens.Authorize(resourceRequest(test.authorization, test.proofs...))
		if !errors.Is(err, test.want) || (caller != nil) != (test.want == nil) {
			t.Errorf("%s: got %v, error %v", test.name, caller, err)
		}
		if err == nil {
			continue
		}
		h := http.Header{}
		token.SetChallenge(h, err)
		if got := h.Get("WWW-Authenticate"); !strings.HasPrefix(got, test.challenge) && !strings.Contains(got, ", "+test.challenge) {
			t.Errorf("%s: got the challenge %s", test.name, got)
		}
		if nonce := h.Get("DPoP-Nonce"); (nonce != "") != errors.Is(err, proof.ErrUseNonce) || nonce != "" && nonce != w.endpoints.proofs.Nonce() {
			t.Errorf("%s: got the nonce %q", test.name, nonce)
		}
	}
}

// TestAuthorizeSpendsLast tests that a request that is refused for another reason does not use
// its proof. A request whose proof cannot be remembered is refused.
func TestAuthorizeSpendsLast(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	bound := mustIssue(t, "bound", w.ask(one(p.forToken()), passwordForm()...), "DPoP")
	sent := p.proof(http.MethodGet, "https://id.example/v1/me", "ath", hashOf(bound))
	authorize := func() error {
		_, err := w.endpoints.tokens.Authorize(resourceRequest("DPoP "+bound, sent))
		return err
	}
	w.login.User.Active = false
	if err := authorize(); !errors.Is(err, token.ErrInvalidToken) {
		t.Errorf("an inactive user: got %v, want token.ErrInvalidToken", err)
	}
	w.login.User.Active = true
	w.spendFails = true
	if err := authorize(); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, token.ErrInvalidToken) {
		t.Errorf("without the database: got %v, want ErrUnavailable", err)
	}
	w.spendFails = false
	if err := authorize(); err != nil {
		t.Errorf("the first use: got %v, want no error", err)
	}
	if err := authorize(); !errors.Is(err, proof.ErrInvalid) {
		t.Errorf("the second use: got %v, want proof.ErrInvalid", err)
	}
}

// TestIntrospectionOfBoundTokens tests that introspection returns the key of a bound token (RFC
// 9449 §6.2).
func TestIntrospectionOfBoundTokens(t *testing.T) {
	t.Parallel()
	w, p := newFixture(t), newProver(t)
	w.withMachine("app", func(*storage.Client) {})
	issued := mustIssue(t, "bound", w.ask(one(p.forToken()), machineForm("app")...), "DPoP")
	rec := w.post("/oauth/introspect", nil, "client_id", "app", "client_secret", "secret", "token", issued)
	cnf, _ := member(t, rec, "cnf").(map[string]any)
	if text(t, rec, "token_type") != "DPoP" || cnf["jkt"] != p.jkt {
		t.Errorf("got %s, want the type DPoP and the key", rec.Body)
	}
	free := mustIssue(t, "free", w.ask(nil, machineForm("app")...), "bearer")
	rec = w.post("/oauth/introspect", nil, "client_id", "app", "client_secret", "secret", "token", free)
	if text(t, rec, "token_type") != "bearer" || member(t, rec, "cnf") != nil {
		t.Errorf("got %s, want the type bearer and no key", rec.Body)
	}
}
