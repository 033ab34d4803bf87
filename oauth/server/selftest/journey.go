package selftest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// forgedAddress is from a network for documentation (RFC 5737).
const forgedAddress = "203.0.113.77"

// auditWait is how long the check waits for an audit event.
const auditWait = 5 * time.Second

// wrongCode has the format of a code, but was not sent to anybody.
const wrongCode = "ZZZZZZZZ"

// journey asks for a code for the test user and presents a wrong one. The server answers
// alike for a user who does not exist.
func (t *tester) journey(ctx context.Context) outcome {
	if t.cfg.ClientID == "" || t.cfg.Username == "" {
		return skipped("needs --client-id and --username of a test user")
	}
	asked, err := json.Marshal(map[string]string{"ClientID": t.cfg.ClientID, "Username": t.cfg.Username})
	if err != nil {
		return failed("%v", err)
	}
	got, err := t.send(ctx, request{method: http.MethodPost, path: "/v1/password/onetimepassword", json: string(asked)})
	if err != nil {
		return failed("%v", err)
	}
	if got.StatusCode >= http.StatusMultipleChoices {
		return failed("asking for a code is answered with %d %.200s", got.StatusCode, got.body)
	}
	got, err = t.presentWrongCode(ctx, nil)
	if err != nil {
		return failed("%v", err)
	}
	if got.member("error") != "invalid_grant" || got.StatusCode != http.StatusBadRequest {
		return failed("a wrong code is answered with %d %q, not 400 \"invalid_grant\"", got.StatusCode, got.member("error"))
	}
	return passed("a code was requested, and a wrong one refused")
}

func (t *tester) presentWrongCode(ctx context.Context, header map[string]string) (answer, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {t.cfg.ClientID}, "username": {t.cfg.Username}, "password": {wrongCode}}
	if t.cfg.ClientSecret != "" {
		form.Set("client_secret", t.cfg.ClientSecret)
	}
	return t.send(ctx, request{method: http.MethodPost, path: t.metadata.TokenEndpoint, form: form, header: header})
}

// clientAddress sends a wrong code with a forged X-Forwarded-For, and reads from the audit
// event which address the server saw. The client must be able to read audit events.
func (t *tester) clientAddress(ctx context.Context) outcome {
	if t.cfg.ClientID == "" || t.cfg.Username == "" || t.cfg.ClientSecret == "" {
		return skipped("needs --client-id, --client-secret-file and --username, and the role AuditReader")
	}
	got, err := t.send(ctx, request{method: http.MethodPost, path: t.metadata.TokenEndpoint, form: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {t.cfg.ClientID}, "client_secret": {t.cfg.ClientSecret}, "scope": {"AuditReader"},
	}})
	if err != nil {
		return failed("%v", err)
	}
	token := got.member("access_token")
	if token == "" {
		return skipped("the client cannot get the role AuditReader by client credentials")
	}
	random := make([]byte, 12)
	if _, err := io.ReadFull(t.cfg.Rand, random); err != nil {
		return failed("%v", err)
	}
	id := "selftest-" + hex.EncodeToString(random)
	if _, err := t.presentWrongCode(ctx, map[string]string{"X-Request-Id": id, "X-Forwarded-For": forgedAddress}); err != nil {
		return failed("%v", err)
	}
	source, err := t.sourceOf(ctx, token, id)
	if err != nil {
		return failed("%v", err)
	}
	return t.judgeSource(source)
}

// sourceOf waits for the audit event of a request, and returns its source.
func (t *tester) sourceOf(ctx context.Context, token, requestID string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, auditWait)
	defer cancel()
	for {
		got, err := t.send(ctx, request{
			path:   "/v1/auditevents?TraceID=" + url.QueryEscape(requestID),
			header: map[string]string{"Authorization": "Bearer " + token},
		})
		if err != nil {
			return "", err
		}
		var list struct{ Items []struct{ Source string } }
		if err := json.Unmarshal(got.body, &list); err != nil {
			return "", err
		}
		if len(list.Items) > 0 {
			return list.Items[0].Source, nil
		}
		time.Sleep(bodyPause)
	}
}

func (t *tester) judgeSource(source string) outcome {
	if source == forgedAddress {
		return failed("the server believes an X-Forwarded-For of anybody: let the proxy replace the header, and name only proxies in LATCHKEY_TRUSTED_PROXIES")
	}
	address, err := netip.ParseAddr(source)
	switch {
	case err != nil:
		return warned("the server does not know the address of the client")
	case !t.isLoopback() && (address.IsPrivate() || address.IsLoopback()):
		return warned("the server sees the address %s, probably that of a proxy: set LATCHKEY_TRUSTED_PROXIES", source)
	}
	return passed("the server sees %s", source)
}
