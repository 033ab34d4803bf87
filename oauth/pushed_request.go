package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

const (
	parPath          = "/oauth/par"
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	pushedContext    = "pushed authorization request"

	// pushedLife is how long a pushed request can be used (RFC 9126 §2.2).
	pushedLife = 90 * time.Second
	// spentLife is how much longer the pages accept forms for a pushed request. The server
	// remembers for as long that the request was used.
	spentLife = 24 * time.Hour
)

// pushedResponse is the answer to a pushed authorization request (RFC 9126 §2.2).
type pushedResponse struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// servePushed is the pushed authorization request endpoint (RFC 9126 §2). It stores
// nothing: the request_uri is the sealed request.
func (e *Endpoints) servePushed(w http.ResponseWriter, r *http.Request) error {
	form, err := grants.ReadTokenForm(w, r)
	if err != nil {
		return err
	}
	c, err := e.clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	if form.Has("request_uri") {
		return &AuthorizationError{Code: "invalid_request", Description: "A pushed request must not have a request_uri."}
	}
	sent, err := e.requiredProof(r, &storage.Client{})
	if err != nil {
		return err
	}
	q, err := e.checkAuthorization(form, c)
	if err != nil {
		return err
	}
	if sent.JKT != "" { // RFC 9449 §10.1
		if q.JKT != "" && q.JKT != sent.JKT {
			return &AuthorizationError{Code: "invalid_request", Description: "The parameter dpop_jkt is not the key of the DPoP proof."}
		}
		if err := e.proofs.Spend(r.Context(), sent); err != nil {
			return err
		}
		q.JKT = sent.JKT
	}
	uri, err := e.sealPushed(q)
	if err != nil {
		return err
	}
	surface.WriteOAuthJSON(w, http.StatusCreated, pushedResponse{uri, int64(pushedLife.Seconds())})
	return nil
}

func (e *Endpoints) sealPushed(q *AuthorizationRequest) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(e.cfg.Rand, id); err != nil {
		return "", fmt.Errorf("push authorization request: %w", err)
	}
	q.PushedID, q.PushedUntil = id, e.cfg.Now().Add(pushedLife).Unix()
	plain, err := json.Marshal(q)
	if err != nil {
		return "", fmt.Errorf("push authorization request: %w", err)
	}
	text, err := e.cfg.Sealer.SealText(plain, pushedContext)
	return requestURIPrefix + text, err
}

// openPushed returns the request that the client pushed. Parameters beside the
// request_uri do not count (RFC 9126 §4).
func (e *Endpoints) openPushed(uri string, c *storage.Client) (*AuthorizationRequest, error) {
	refused := pageError("invalid_request_uri", "The request has expired. Start again at the application.")
	plain, err := e.cfg.Sealer.OpenText(strings.TrimPrefix(uri, requestURIPrefix), pushedContext)
	if err != nil {
		return nil, refused
	}
	q := new(AuthorizationRequest)
	if err := json.NewDecoder(bytes.NewReader(plain)).Decode(q); err != nil {
		return nil, refused
	}
	if q.ClientID != c.ID || !e.cfg.Now().Before(time.Unix(q.PushedUntil, 0)) || !c.HasRedirectURI(q.RedirectURI) {
		return nil, refused
	}
	return q, nil
}

// spentPushed returns the id under which a pushed request is used up.
func spentPushed(q *AuthorizationRequest) []byte {
	sum := sha256.Sum256(append([]byte(pushedContext+":"), q.PushedID...))
	return sum[:]
}
