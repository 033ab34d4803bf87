package keys

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
	"latchkey/storage"
)

// rsaBits is the size of RSA keys (RFC 7518 §3.3: at least 2048).
const rsaBits = jose.MinRSABits

// snapshot has the keys of one read of the store. It never changes. Its methods take the
// time for which they answer.
type snapshot struct {
	entries map[string]*entry   // by kid; keys that can still be published
	groups  map[string][]*entry // by algorithm, oldest first
	records map[string][]storage.SigningKey
	// external are the external keys of the ring. They are in entries as well.
	external externalKeys
}

// entry is a decrypted key with values that every signature needs.
type entry struct {
	record  storage.SigningKey
	key     Key
	sign    signingMethod
	jwk     gojose.JSONWebKey
	jwkJSON []byte
	headers map[string]string // encoded protected header by typ

	external bool
}

// newSnapshot decrypts the records that are neither gone nor revoked. It reuses the keys
// that the previous snapshot has decrypted. previous may be nil.
func newSnapshot(records []storage.SigningKey, previous *snapshot, sealer *Sealer, external externalKeys, now time.Time) (*snapshot, error) {
	s := &snapshot{
		entries:  make(map[string]*entry, len(records)),
		groups:   map[string][]*entry{},
		records:  map[string][]storage.SigningKey{},
		external: external,
	}
	for _, group := range external {
		for _, e := range group {
			s.entries[e.key.KID] = e
		}
	}
	records = slices.SortedFunc(slices.Values(records), byAge)
	for _, record := range records {
		if e, ok := s.entries[record.KID]; ok && e.external {
			return nil, fmt.Errorf("signing key %q: an external key has its kid", record.KID)
		}
		if !StateAt(record, records, now).Published() {
			continue
		}
		e, err := previous.open(record, sealer)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", record.KID, err)
		}
		s.entries[record.KID] = e
		s.groups[record.Alg] = append(s.groups[record.Alg], e)
		s.records[record.Alg] = append(s.records[record.Alg], record)
	}
	return s, nil
}

// open returns the entry of a record. The kid is a digest of the public key, so an entry of
// this snapshot with the same kid has the same key and is reused.
func (s *snapshot) open(record storage.SigningKey, sealer *Sealer) (*entry, error) {
	if s != nil {
		if known, ok := s.entries[record.KID]; ok && known.record.Alg == record.Alg && !known.external {
			e := *known
			e.record = record
			return &e, nil
		}
	}
	pkcs8, err := sealer.Open(record.Private, SigningKeyContext(record.KID))
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("parse private key: %w", err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%T cannot sign", parsed)
	}
	// The public half is derived from the private one, not read. So an attacker who can
	// write to the database but does not have the master key cannot add a key that
	// verifies.
	e, err := newEntry(record, "", private.Public(), private)
	if err != nil {
		return nil, err
	}
	if e.key.KID != record.KID {
		return nil, errors.New("kid is not the thumbprint of the key")
	}
	return e, nil
}

// SigningKeyContext returns the context in which the private half of the key with the kid
// is sealed, see Sealer.Seal.
func SigningKeyContext(kid string) string { return "signing-key:" + kid }

// newEntry returns the entry of a key for the record's algorithm. kid "" means the
// thumbprint of the public key. private may be nil.
func newEntry(record storage.SigningKey, kid string, public crypto.PublicKey, private crypto.Signer) (*entry, error) {
	sign, err := signingMethodOf(record.Alg)
	if err != nil {
		return nil, err
	}
	if !fits(record.Alg, public) {
		return nil, fmt.Errorf("%w: %T for %s", jwt.ErrInvalidKeyType, public, record.Alg)
	}
	jwk, err := publicJWK(record.Alg, public)
	if err != nil {
		return nil, err
	}
	jwk.KeyID = cmp.Or(kid, jwk.KeyID)
	encoded, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	e := &entry{
		record: record, sign: sign, jwk: jwk, jwkJSON: encoded,
		key:     Key{KID: jwk.KeyID, Alg: record.Alg, Private: private, Public: public},
		headers: map[string]string{},
	}
	for _, typ := range []string{TypeAccessToken, TypeJWT} {
		if e.headers[typ], err = encodeHeader(header{Alg: record.Alg, KID: jwk.KeyID, Typ: typ}); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// fits reports whether the server can sign with alg and a key.
func fits(alg string, public crypto.PublicKey) bool {
	return slices.Contains(jose.SigningAlgorithms(), alg) && jose.KeyFits(public, alg)
}

// signer returns the entry that signs with alg at the time now, or nil.
func (s *snapshot) signer(alg string, now time.Time) *entry {
	if e := s.external.signer(alg, now); e != nil {
		return e
	}
	if i := signerAt(s.records[alg], alg, now); i >= 0 {
		return s.groups[alg][i]
	}
	return nil
}

// published returns the entry with the kid if it is in the key set at the time now, or nil.
func (s *snapshot) published(kid string, now time.Time) *entry {
	e, ok := s.entries[kid]
	if ok && e.external {
		return e
	}
	if !ok || !StateAt(e.record, s.records[e.key.Alg], now).Published() {
		return nil
	}
	return e
}

// generate returns a new key with its private half sealed. Its times are not set. A kid that
// starts with "-" would look like a flag on a command line, so generate tries again then.
func generate(alg string, random io.Reader, sealer *Sealer) (storage.SigningKey, error) {
	private, err := generatePrivate(alg, random)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("generate %s key: %w", alg, err)
	}
	jwk, err := publicJWK(alg, private.Public())
	if err != nil {
		return storage.SigningKey{}, err
	}
	if strings.HasPrefix(jwk.KeyID, "-") {
		return generate(alg, random, sealer)
	}
	public, err := json.Marshal(jwk)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("encode public key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("encode private key: %w", err)
	}
	sealed, err := sealer.Seal(pkcs8, SigningKeyContext(jwk.KeyID))
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("seal private key: %w", err)
	}
	return storage.SigningKey{KID: jwk.KeyID, Alg: alg, Public: public, Private: sealed}, nil
}

func generatePrivate(alg string, random io.Reader) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case RS256:
		return rsa.GenerateKey(random, rsaBits)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(random)
		return private, err
	}
	return nil, ErrUnsupportedAlg
}
