package oauth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

const (
	// idempotencyHeader marks a request that a client may repeat. A client that lost the
	// answer to a redeemed code gets the same tokens again.
	idempotencyHeader = "Idempotency-Key"
	// keepAnswers is how long an answer can be asked for again.
	keepAnswers = 2 * time.Minute
	// maxIdempotencyKey is the longest key in bytes.
	maxIdempotencyKey = 255
)

var (
	errIdempotencyKey       = errors.New("the Idempotency-Key is repeated, empty, too long or has unsupported characters")
	errIdempotencyKeyReused = errors.New("the Idempotency-Key was used for another request")
)

// AnswerStore keeps the answers to requests with an Idempotency-Key.
type AnswerStore interface {
	// KeptAnswer returns the answer with that id, or storage.ErrNotFound.
	KeptAnswer(ctx context.Context, id string, now time.Time) (storage.KeptAnswer, error)
	// KeepAnswer returns storage.ErrConflict if an answer with the id lives.
	KeepAnswer(ctx context.Context, a storage.KeptAnswer) error
	// CloseAnswer makes the answer with that id match no request any more.
	CloseAnswer(ctx context.Context, id string) error
	InTx(ctx context.Context, do func(ctx context.Context) error) error
}

// answerContext is the additional data that a kept answer is sealed with.
func answerContext(id string) string { return "kept_answer:" + id }

// SealContexts returns the additional data that this package seals a secret of the kind
// with, or nil for kinds that other packages seal.
func SealContexts(kind storage.SealedKind, id string) []string {
	if kind == storage.SealedAnswer {
		return []string{answerContext(id)}
	}
	return nil
}

// repeatable is a request that the client may repeat.
type repeatable struct {
	endpoints *Endpoints
	id        string
	digest    []byte
}

// repeatableRequest returns the request if it has an Idempotency-Key and is a password
// grant, and nil otherwise. The kept answer belongs to the client and its key. The digest
// covers everything that the tokens depend on.
func (e *Endpoints) repeatableRequest(r *http.Request, c *storage.Client, form url.Values, t terms) (*repeatable, error) {
	given := r.Header.Values(idempotencyHeader)
	if len(given) == 0 || e.cfg.Answers == nil || form.Get("grant_type") != grants.GrantPassword {
		return nil, nil
	}
	key := given[0]
	strange := func(r rune) bool { return r < ' ' || r > '~' }
	if len(given) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, strange) {
		return nil, errIdempotencyKey
	}
	id, known := e.mac("idempotency key", c.ID, key)
	digest, _ := e.mac("idempotent request", c.ID, key, c.ProfileID, otp.NormalizeUsername(form.Get("username")), form.Get("password"),
		form.Get("scope"), strings.Join(t.resources, " "), t.proof.JKT)
	if !known {
		return nil, errors.New("no pepper for an Idempotency-Key")
	}
	return &repeatable{e, base64.RawURLEncoding.EncodeToString(id), digest}, nil
}

// mac returns a MAC over the parts. Without the key, a short code cannot be guessed from the
// stored value. ok is false if there is no pepper.
func (e *Endpoints) mac(purpose string, parts ...string) (sum []byte, ok bool) {
	encoded, err := json.Marshal(parts)
	if err != nil {
		return nil, false
	}
	return e.cfg.Peppers.MAC(e.cfg.Peppers.CurrentID(), purpose, encoded)
}

// kept returns the answer to an earlier request that was the same, with the rest of its
// token's life. found is false if there is none. It returns errIdempotencyKeyReused if
// the earlier request was another one. The answer is not returned any more after that:
// otherwise somebody who knows the key could guess the code without being counted.
func (q *repeatable) kept(ctx context.Context) (answer tokenResponse, found bool, err error) {
	now := q.endpoints.cfg.Now().UTC()
	k, err := q.endpoints.cfg.Answers.KeptAnswer(ctx, q.id, now)
	if errors.Is(err, storage.ErrNotFound) {
		return answer, false, nil
	}
	if err != nil {
		return answer, false, err
	}
	if !hmac.Equal(k.Request, q.digest) {
		if len(k.Request) > 0 {
			err = q.endpoints.cfg.Answers.CloseAnswer(ctx, q.id)
		}
		return answer, false, cmp.Or(err, errIdempotencyKeyReused)
	}
	plain, err := q.endpoints.cfg.Sealer.Open(k.Answer, answerContext(q.id))
	if err == nil {
		err = json.Unmarshal(plain, &answer)
	}
	answer.ExpiresIn = max(0, answer.ExpiresIn-int64(now.Sub(k.CreatedAt)/time.Second))
	return answer, err == nil, err
}

// keep is a grants.Session.Keep: the answer is stored in the transaction in which the
// sign-in takes effect. It is stored before that, so that a parallel request with the same
// key waits.
func (q *repeatable) keep(ctx context.Context, response fosite.AccessResponder, settle func(context.Context) error) error {
	cfg := &q.endpoints.cfg
	plain, err := json.Marshal(tokenBody(response))
	if err != nil {
		return err
	}
	sealed, err := cfg.Sealer.Seal(plain, answerContext(q.id))
	if err != nil {
		return err
	}
	now := cfg.Now().UTC()
	return cfg.Answers.InTx(ctx, func(ctx context.Context) error {
		if err := cfg.Answers.KeepAnswer(ctx, storage.KeptAnswer{
			ID: q.id, Request: q.digest, Answer: sealed, CreatedAt: now, ExpiresAt: now.Add(keepAnswers),
		}); err != nil {
			return err
		}
		return settle(ctx)
	})
}

// grantOnce is grant for a request that may have an Idempotency-Key. If the grant is
// refused, the same request may have taken effect at the same moment, on this server or
// on another one.
func (e *Endpoints) grantOnce(c *storage.Client, r *http.Request, form url.Values, t terms) (tokenResponse, error) {
	ctx := r.Context()
	q, err := e.repeatableRequest(r, c, form, t)
	if err != nil {
		return tokenResponse{}, err
	}
	if q == nil {
		response, err := e.grant(ctx, c, r, t, nil)
		if err != nil {
			return tokenResponse{}, err
		}
		return tokenBody(response), nil
	}
	answer, found, err := q.kept(ctx)
	if err == nil && found && t.proof.JKT != "" {
		err = e.proofs.Spend(ctx, t.proof)
	}
	if err != nil || found {
		return answer, err
	}
	response, err := e.grant(ctx, c, r, t, q.keep)
	if err == nil {
		return tokenBody(response), nil
	}
	if answer, found, keptErr := q.kept(ctx); found || errors.Is(keptErr, errIdempotencyKeyReused) {
		return answer, keptErr
	}
	return tokenResponse{}, err
}
