package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	wellKnown = "/.well-known/oauth-authorization-server"
	// A certificate with less life than certificateLife should have been renewed.
	certificateLife = 14 * 24 * time.Hour
	// maxClockSkew is how far the clocks may differ. Assertions and proofs of clients
	// live for a minute.
	maxClockSkew = 10 * time.Second
	// longHeader is the length of a header with a large token. Some proxies allow 4 KiB.
	longHeader = 6 << 10
	bodyPause  = 300 * time.Millisecond
	largeBody  = 2 << 20
)

// discovery reads the metadata (RFC 8414 §3), and compares the issuer.
func (t *tester) discovery(ctx context.Context) outcome {
	got, err := t.send(ctx, request{path: wellKnown})
	if err != nil {
		return failed("%v", err)
	}
	if got.StatusCode != http.StatusOK || json.Unmarshal(got.body, &t.metadata) != nil || t.metadata.Issuer == "" {
		return failed("%s answers %d without metadata (RFC 8414)", t.base.String()+wellKnown, got.StatusCode)
	}
	issuer := strings.TrimSuffix(t.metadata.Issuer, "/")
	if issuer != t.base.String() {
		return failed("the metadata names the issuer %s; set LATCHKEY_ISSUER to the URL that clients use, or check that one", t.metadata.Issuer)
	}
	for _, endpoint := range []string{t.metadata.TokenEndpoint, t.metadata.JWKSURI} {
		if !strings.HasPrefix(endpoint, issuer+"/") {
			return failed("the endpoint %q is not below the issuer", endpoint)
		}
	}
	return passed("issuer %s", t.metadata.Issuer)
}

func (t *tester) encryption(ctx context.Context) outcome {
	if t.base.Scheme == "http" {
		if t.isLoopback() {
			return passed("plain http, on this machine only")
		}
		return failed("plain http: codes and tokens can be read on the way")
	}
	got, err := t.send(ctx, request{path: wellKnown})
	if err != nil {
		return failed("%v", err)
	}
	if got.TLS == nil || len(got.TLS.PeerCertificates) == 0 {
		return failed("the connection is not encrypted")
	}
	if got.Header.Get("Strict-Transport-Security") == "" {
		return warned("no Strict-Transport-Security: the proxy removes the header")
	}
	ends := got.TLS.PeerCertificates[0].NotAfter
	if left := ends.Sub(t.cfg.Now()); left < certificateLife {
		return warned("the certificate ends at %s", ends.UTC().Format(time.RFC3339))
	}
	return passed("certificate until %s", ends.UTC().Format(time.RFC3339))
}

// keys reads the key set (RFC 7517).
func (t *tester) keys(ctx context.Context) outcome {
	got, err := t.send(ctx, request{path: t.metadata.JWKSURI})
	if err != nil {
		return failed("%v", err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if got.StatusCode != http.StatusOK || json.Unmarshal(got.body, &set) != nil || len(set.Keys) == 0 {
		return failed("%s answers %d without keys", t.metadata.JWKSURI, got.StatusCode)
	}
	ids := map[any]bool{}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "k"} {
			if key[private] != nil {
				return failed("the key %v has the private member %s", key["kid"], private)
			}
		}
		if ids[key["kid"]] {
			return failed("two keys have the kid %v", key["kid"])
		}
		ids[key["kid"]] = true
	}
	if !strings.Contains(got.Header.Get("Cache-Control"), "max-age") {
		return warned("the keys have no Cache-Control with a max-age: the proxy changes it")
	}
	return passed("%d keys", len(set.Keys))
}

// clock compares the Date of an answer, which may be that of the proxy.
func (t *tester) clock(ctx context.Context) outcome {
	got, err := t.send(ctx, request{path: wellKnown})
	if err != nil {
		return failed("%v", err)
	}
	at, err := http.ParseTime(got.Header.Get("Date"))
	if err != nil {
		return warned("the answer has no Date")
	}
	if skew := t.cfg.Now().Sub(at).Round(time.Second); skew.Abs() > maxClockSkew {
		return failed("the clocks differ by %s", skew)
	}
	return passed("the clocks agree")
}

// headers looks at the answer to a token request, which no cache may keep (RFC 6749 §5.1).
func (t *tester) headers(ctx context.Context) outcome {
	id := "selftest-" + fmt.Sprint(t.cfg.Now().UnixNano())
	got, err := t.send(ctx, request{
		method: http.MethodPost, path: t.metadata.TokenEndpoint, form: url.Values{"grant_type": {"none"}},
		header: map[string]string{"X-Request-Id": id},
	})
	if err != nil {
		return failed("%v", err)
	}
	if !strings.Contains(got.Header.Get("Cache-Control"), "no-store") {
		return failed("an answer of the token endpoint has no Cache-Control: no-store, so a cache may keep tokens")
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got.Header.Get(name) != want {
			return warned("the proxy removes %s: %s", name, want)
		}
	}
	if got.Header.Get("X-Request-Id") != id {
		return warned("the proxy replaces X-Request-Id, so that requests cannot be followed")
	}
	return passed("answers cannot be cached and can be followed")
}

// refusals checks that answers of the server with an error status reach the client
// unchanged. Some proxies replace them.
func (t *tester) refusals(ctx context.Context) outcome {
	for _, r := range []struct {
		form url.Values
		want string
	}{
		{url.Values{"grant_type": {"none"}}, "unsupported_grant_type"},
		{url.Values{"grant_type": {"client_credentials"}, "client_id": {"selftest-unknown"}, "client_secret": {"x"}}, "invalid_client"},
	} {
		got, err := t.send(ctx, request{method: http.MethodPost, path: t.metadata.TokenEndpoint, form: r.form})
		if err != nil {
			return failed("%v", err)
		}
		if got.member("error") != r.want || got.StatusCode != http.StatusBadRequest {
			return failed("the token endpoint answers %d %q instead of 400 %q", got.StatusCode, got.member("error"), r.want)
		}
	}
	return passed("errors of the token endpoint reach the client")
}

func (t *tester) largeHeaders(ctx context.Context) outcome {
	got, err := t.send(ctx, request{path: "/v1/me", header: map[string]string{"Authorization": "Bearer " + strings.Repeat("x", longHeader)}})
	if err != nil {
		return failed("a header of %d bytes: %v", longHeader, err)
	}
	if got.StatusCode != http.StatusUnauthorized {
		return failed("a header of %d bytes is answered with %d, not 401: allow larger headers at the proxy", longHeader, got.StatusCode)
	}
	return passed("headers of %d bytes pass", longHeader)
}

// slowBodies sends a form in two parts with a pause between them, as slow phones do.
func (t *tester) slowBodies(ctx context.Context) outcome {
	read, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "grant_type=no") // the reader sees an error as well
		time.Sleep(bodyPause)
		_, _ = io.WriteString(write, "ne")
		_ = write.Close()
	}()
	got, err := t.send(ctx, request{method: http.MethodPost, path: t.metadata.TokenEndpoint, body: read})
	if err != nil {
		return failed("a body in two parts: %v", err)
	}
	if got.member("error") != "unsupported_grant_type" {
		return failed("a body in two parts without a length is answered with %d: let the proxy buffer requests", got.StatusCode)
	}
	return passed("bodies in parts pass")
}

// largeBodies checks that the server or the proxy refuses a body that is too large.
func (t *tester) largeBodies(ctx context.Context) outcome {
	got, err := t.send(ctx, request{
		method: http.MethodPost, path: t.metadata.TokenEndpoint, form: url.Values{"grant_type": {strings.Repeat("x", largeBody)}},
	})
	switch {
	case err != nil:
		return passed("bodies of %d bytes are cut off", largeBody)
	case got.StatusCode != http.StatusRequestEntityTooLarge:
		return failed("a body of %d bytes is answered with %d, not 413", largeBody, got.StatusCode)
	case got.member("error") == "":
		return warned("the proxy refuses a body of %d bytes in its own words", largeBody)
	}
	return passed("bodies of %d bytes are refused", largeBody)
}

// crossOrigin checks that pages of unknown origins cannot call the API.
func (t *tester) crossOrigin(ctx context.Context) outcome {
	const origin = "https://selftest.invalid"
	got, err := t.send(ctx, request{
		method: http.MethodOptions, path: t.metadata.TokenEndpoint,
		header: map[string]string{"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"},
	})
	if err != nil {
		return failed("%v", err)
	}
	if allowed := got.Header.Values("Access-Control-Allow-Origin"); len(allowed) > 0 {
		return failed("pages of any origin may call: Access-Control-Allow-Origin is %s; remove it at the proxy, and set LATCHKEY_CORS_ORIGINS", strings.Join(allowed, ", "))
	}
	return passed("pages of unknown origins may not call")
}
