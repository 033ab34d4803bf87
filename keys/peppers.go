package keys

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/storage"
)

const (
	pepperSize   = 32
	pepperPrefix = "pep_"
)

// The domains, which are the first element of every HMAC input. They keep digests of
// secrets and MACs over tokens different even if a caller uses one purpose for both.
const (
	digestDomain = "latchkey/digest/v1"
	macDomain    = "latchkey/mac/v1"
)

// PepperStore keeps peppers.
type PepperStore interface {
	// Peppers returns all peppers, oldest first.
	Peppers(context.Context) ([]storage.Pepper, error)
	// AddFirstPepper stores the pepper if the store has none yet, in one step.
	// Otherwise it returns storage.ErrConflict.
	AddFirstPepper(context.Context, storage.Pepper) error
}

// Peppers computes digests and MACs under secrets that are stored sealed. So guesses
// cannot be tried against a stolen table of digests without the master key. It never
// changes and is safe for concurrent use.
type Peppers struct {
	currentID string
	secrets   map[string][]byte
}

// LoadPeppers reads the peppers and opens them with the sealer. If there is none,
// it makes the first from the random source (nil: crypto/rand) with the creation
// time now. If several processes do so at once, the store admits one pepper and
// all of them use it. Errors: those of the store and of Sealer.Open.
func LoadPeppers(ctx context.Context, store PepperStore, sealer *Sealer, random io.Reader, now time.Time) (*Peppers, error) {
	records, err := store.Peppers(ctx)
	if err == nil && len(records) == 0 {
		records, err = createFirstPepper(ctx, store, sealer, random, now)
	}
	if err != nil {
		return nil, fmt.Errorf("load peppers: %w", err)
	}
	p := &Peppers{secrets: make(map[string][]byte, len(records))}
	for _, record := range records {
		secret, err := sealer.Open(record.Secret, PepperContext(record.ID))
		if err != nil {
			return nil, fmt.Errorf("load pepper %q: %w", record.ID, err)
		}
		if len(secret) != pepperSize {
			return nil, fmt.Errorf("load pepper %q: has %d bytes, want %d", record.ID, len(secret), pepperSize)
		}
		p.secrets[record.ID] = secret
		p.currentID = record.ID
	}
	return p, nil
}

func createFirstPepper(ctx context.Context, store PepperStore, sealer *Sealer, random io.Reader, now time.Time) ([]storage.Pepper, error) {
	if random == nil {
		random = rand.Reader
	}
	id, err := storage.NewID(random, pepperPrefix)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, pepperSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, fmt.Errorf("new pepper: %w", err)
	}
	sealed, err := sealer.Seal(secret, PepperContext(id))
	if err != nil {
		return nil, fmt.Errorf("seal new pepper: %w", err)
	}
	first := storage.Pepper{ID: id, Secret: sealed, CreatedAt: now.UTC().Truncate(time.Microsecond)}
	if err := store.AddFirstPepper(ctx, first); err != nil && !errors.Is(err, storage.ErrConflict) {
		return nil, fmt.Errorf("add first pepper: %w", err)
	}
	// Read again rather than use our own: another process may have been first.
	records, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errors.New("the store does not return the added pepper")
	}
	return records, nil
}

// PepperContext returns the additional data that the pepper with the id is sealed
// with, see Sealer.Seal.
func PepperContext(id string) string { return "pepper:" + id }

// Digest returns the keyed digest (HMAC-SHA-256) of the parts for the purpose
// under the newest pepper. Purposes separate domains, and the parts are
// prefixed with their lengths, so ("ab","c") and ("a","bc") differ.
func (p *Peppers) Digest(purpose string, parts ...string) storage.Digest {
	return storage.Digest{
		PepperID: p.currentID,
		Sum:      keyedSum(p.secrets[p.currentID], digestDomain, purpose, parts...),
	}
}

// Matches reports whether d is the digest of the parts for the purpose. The
// comparison takes the same time wherever they differ. A digest under a pepper
// that is not loaded matches nothing.
func (p *Peppers) Matches(d storage.Digest, purpose string, parts ...string) bool {
	secret, ok := p.secrets[d.PepperID]
	if !ok {
		return false
	}
	return hmac.Equal(d.Sum, keyedSum(secret, digestDomain, purpose, parts...))
}

// MAC returns the 32-byte HMAC-SHA-256 of data for the purpose under the pepper of
// the id. It returns false if there is no such pepper. A MAC never equals a Digest.
func (p *Peppers) MAC(pepperID, purpose string, data []byte) ([]byte, bool) {
	secret, ok := p.secrets[pepperID]
	if !ok {
		return nil, false
	}
	return keyedSum(secret, macDomain, purpose, string(data)), true
}

// CurrentID returns the id of the newest pepper, the one that Digest uses.
func (p *Peppers) CurrentID() string { return p.currentID }

func keyedSum(secret []byte, domain, purpose string, parts ...string) []byte {
	input := make([]byte, 0, 256)
	input = appendPrefixed(input, domain)
	input = appendPrefixed(input, purpose)
	for _, part := range parts {
		input = appendPrefixed(input, part)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(input)
	return mac.Sum(nil)
}

func appendPrefixed(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}
