package otp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/otp"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// codeClient returns a client that admits every buyer with a code.
func codeClient() storage.Client {
	return storage.Client{
		ID: "shop", Active: true, AllowAnyBuyer: true, GrantTypes: []string{"password"}, Credentials: storage.Credentials{OTP: true},
	}
}

// unqueued returns an Unqueued with the user jane, and her store.
func unqueued(t *testing.T, change func(*otp.UnqueuedConfig)) (*otp.Unqueued, *statestore.Store) {
	t.Helper()
	store, err := statestore.New(statestore.Config{States: new(granttest.Memory), User: func(_ context.Context, name string) (statestore.User, error) {
		if name != "jane" {
			return statestore.User{}, storage.ErrNotFound
		}
		return statestore.User{ID: "usr_1", Email: "jane@example.com"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := otp.UnqueuedConfig{
		Store: store, Codes: otp.NewCodes(plainDigester{}), Send: func(context.Context, storage.User, string) error { return nil },
		Failed: func(err error) { t.Error(err) },
	}
	change(&cfg)
	u, err := otp.NewUnqueued(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return u, store
}

// plainDigester is a digester whose digests are the text.
type plainDigester struct{}

func (plainDigester) Digest(purpose string, parts ...string) storage.Digest {
	return storage.Digest{PepperID: "p", Sum: []byte(purpose + "\x00" + strings.Join(parts, "\x00"))}
}

func (d plainDigester) Matches(want storage.Digest, purpose string, parts ...string) bool {
	return string(want.Sum) == string(d.Digest(purpose, parts...).Sum)
}

// TestUnqueued tests that a request is answered before the user is looked up and the code is
// sent, and that the sent code is the stored one.
func TestUnqueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		u, store := unqueued(t, func(cfg *otp.UnqueuedConfig) {
			cfg.Send = func(_ context.Context, to storage.User, code string) error {
				time.Sleep(10 * time.Second)
				sent = append(sent, to.Email, code)
				return nil
			}
		})
		began := time.Now()
		for _, name := range []string{" Jane", "nobody"} {
			if err := u.Request(t.Context(), codeClient(), name); err != nil {
				t.Errorf("%s: got %v, want no error", name, err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the answers took %s, want 0s", took)
		}
		if err := u.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if len(sent) != 2 || sent[0] != "jane@example.com" {
			t.Fatalf("got the sent values %q", sent)
		}
		p, err := store.Principal(t.Context(), storage.LoginKey{UsernameKey: "jane"})
		if err != nil || !otp.NewCodes(plainDigester{}).Match(p, "shop", []storage.Purpose{storage.PurposeSignIn}, sent[1], time.Now()) {
			t.Errorf("the sent code does not match, error %v", err)
		}
		if unknown, err := store.Principal(t.Context(), storage.LoginKey{UsernameKey: "nobody"}); err != nil || unknown.Login.Code.ID != "" {
			t.Errorf("an unknown name has a code, error %v", err)
		}
	})
}

func TestUnqueuedLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 10)
		u, _ := unqueued(t, func(cfg *otp.UnqueuedConfig) {
			cfg.Limit = limit.Limit{Burst: 2, Per: time.Minute}
			cfg.Send = func(context.Context, storage.User, string) error { return errors.New("no mail server") }
			cfg.Failed = func(err error) { failed <- err }
		})
		for i := range 3 {
			for _, name := range []string{"jane", "nobody"} { // both have the same result
				var used *storage.LimitError
				if err := u.Request(t.Context(), codeClient(), name); errors.As(err, &used) != (i == 2) {
					t.Errorf("request %d for %s: got %v", i, name, err)
				}
			}
		}
		if err := u.Wait(t.Context()); err != nil || len(failed) != 2 {
			t.Fatalf("got error %v and %d reported errors, want 2", err, len(failed))
		}
		if err := <-failed; !strings.Contains(err.Error(), "no mail server") {
			t.Error(err)
		}
	})
}

// TestUnqueuedIsBounded tests that the number of requests that wait for a hanging mail server
// is limited.
func TestUnqueuedIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u, _ := unqueued(t, func(cfg *otp.UnqueuedConfig) {
			cfg.Limit = limit.Limit{Burst: 1000, Per: time.Minute}
			cfg.Failed = func(error) {}
			cfg.Send = func(ctx context.Context, _ storage.User, _ string) error { <-ctx.Done(); return ctx.Err() }
		})
		accepted := 0
		for range 200 {
			switch err := u.Request(t.Context(), codeClient(), "jane"); {
			case err == nil:
				accepted++
			case !errors.Is(err, storage.ErrUnavailable):
				t.Fatal(err)
			}
		}
		if accepted != 64 {
			t.Errorf("got %d requests that are being sent, want 64", accepted)
		}
		began := time.Now()
		if err := u.Wait(t.Context()); err != nil || time.Since(began) != 30*time.Second {
			t.Errorf("got %v after %s, want no error after 30s", err, time.Since(began))
		}
	})
}

// TestCheckClient tests that the reason names the field.
func TestCheckClient(t *testing.T) {
	t.Parallel()
	u, _ := unqueued(t, func(*otp.UnqueuedConfig) {})
	for field, change := range map[string]func(*storage.Client){
		"Active":          func(c *storage.Client) { c.Active = false },
		"Credentials.OTP": func(c *storage.Client) { c.Credentials.OTP = false },
		"GrantTypes":      func(c *storage.Client) { c.GrantTypes = []string{"client_credentials"} },
		"AllowAnyBuyer":   func(c *storage.Client) { c.AllowAnyBuyer = false },
	} {
		c := codeClient()
		change(&c)
		for _, err := range []error{otp.CheckClient(c), u.Request(t.Context(), c, "jane")} {
			if !errors.Is(err, otp.ErrClientWithoutCodes) || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), `"shop"`) {
				t.Errorf("%s: got %v, want ErrClientWithoutCodes with the field", field, err)
			}
		}
	}
	if err := otp.CheckClient(codeClient()); err != nil {
		t.Error(err)
	}
}

func TestNewUnqueued(t *testing.T) {
	t.Parallel()
	_, store := unqueued(t, func(*otp.UnqueuedConfig) {})
	complete := otp.UnqueuedConfig{Store: store, Codes: otp.NewCodes(plainDigester{}), Send: func(context.Context, storage.User, string) error { return nil }}
	for field, change := range map[string]func(*otp.UnqueuedConfig){
		"Store":  func(c *otp.UnqueuedConfig) { c.Store = nil },
		"Codes":  func(c *otp.UnqueuedConfig) { c.Codes = nil },
		"Send":   func(c *otp.UnqueuedConfig) { c.Send = nil },
		"TTL":    func(c *otp.UnqueuedConfig) { c.TTL = time.Hour },
		"Format": func(c *otp.UnqueuedConfig) { c.Format = storage.CodeFormat{Alphabet: otp.AlphabetDigits, Length: 4} },
	} {
		cfg := complete
		change(&cfg)
		if _, err := otp.NewUnqueued(cfg); err == nil || !strings.Contains(err.Error(), "UnqueuedConfig."+field) {
			t.Errorf("%s: got %v, want an error with the field", field, err)
		}
	}
}
