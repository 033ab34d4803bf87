package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

const redacted = "[redacted]"

// DatabaseURL is the URL of the database. Because it may contain a password, all
// methods but Reveal return a redacted form.
type DatabaseURL struct{ text string }

// NewDatabaseURL returns the URL with the given text. It does not check the text;
// Config.Validate does.
func NewDatabaseURL(text string) DatabaseURL { return DatabaseURL{text} }

// Reveal returns the URL as it was given.
func (u DatabaseURL) Reveal() string { return u.text }

// SQLitePath returns the path of the SQLite database file and whether the URL
// names one.
func (u DatabaseURL) SQLitePath() (string, bool) {
	path, ok := strings.CutPrefix(u.text, "sqlite:")
	return path, ok && path != ""
}

// Postgres reports whether the URL names a PostgreSQL database.
func (u DatabaseURL) Postgres() bool {
	return strings.HasPrefix(u.text, "postgres://") || strings.HasPrefix(u.text, "postgresql://")
}

// hasPassword reports whether the URL of a PostgreSQL database holds a password.
func (u DatabaseURL) hasPassword() bool {
	parsed, err := url.Parse(u.text)
	if err != nil || !u.Postgres() {
		return u.Postgres() // a text that is no URL may contain one
	}
	_, inUserInfo := parsed.User.Password()
	query := parsed.Query()
	return inUserInfo || hasMisplacedUser(parsed) || query.Has("password") || query.Has("sslpassword")
}

// String returns the URL without its password and query.
func (u DatabaseURL) String() string {
	if _, ok := u.SQLitePath(); ok || u.text == "" {
		return u.text
	}
	parsed, err := url.Parse(u.text)
	if err != nil || !u.Postgres() || hasMisplacedUser(parsed) {
		return redacted
	}
	shown := url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}
	if parsed.User != nil {
		shown.User = url.User(parsed.User.Username())
	}
	return shown.String()
}

// Format implements fmt.Formatter: every verb prints the redacted form.
func (u DatabaseURL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// MarshalText encodes the redacted form.
func (u DatabaseURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText accepts any text. Config.Validate checks it.
func (u *DatabaseURL) UnmarshalText(text []byte) error {
	u.text = string(text)
	return nil
}

// MasterKey is the list of keys for secrets at rest. The first key seals; all keys
// open.
type MasterKey struct{ keys [][]byte }

// NewMasterKey returns a list of the given keys, the one that seals first. Each must have
// KeySize bytes, otherwise an error is returned. Tests use it; the program reads keys from
// its settings.
func NewMasterKey(keys ...[]byte) (MasterKey, error) {
	for _, k := range keys {
		if len(k) != KeySize {
			return MasterKey{}, errMasterKey
		}
	}
	return MasterKey{keys}, nil
}

var errMasterKey = errors.New("must be 32 bytes in base64, or a comma-separated list of such keys")

// Reveal returns the keys, the one that seals first.
func (k MasterKey) Reveal() [][]byte { return k.keys }

// String returns a redacted form, or "" if there are no keys.
func (k MasterKey) String() string {
	if len(k.keys) == 0 {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter: every verb prints the redacted form.
func (k MasterKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText encodes the redacted form.
func (k MasterKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a comma-separated list of keys in base64, padded or not,
// in the standard or the URL alphabet. Its error does not repeat the text.
func (k *MasterKey) UnmarshalText(text []byte) error {
	var keys [][]byte
	for part := range strings.SplitSeq(string(text), ",") {
		key, err := decodeBase64(strings.TrimSpace(part))
		if err != nil || len(key) != KeySize {
			return errMasterKey
		}
		keys = append(keys, key)
	}
	k.keys = keys
	return nil
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}
