package keys

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/oauth"
	elasticpathwire "latchkey/oauth/elasticpath/wire"
	ordercloudwire "latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/server"
	"latchkey/oauth/server/rewrap"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// nextMasterKey is another master key of the tests, 32 bytes.
const nextMasterKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="

// withMaster runs do with the fixture's database opened with the master keys.
func withMaster(w *kit.Fixture, masterKeys string, do func(ctx context.Context, a *server.App) error) error {
	w.T.Helper()
	a, err := kit.OpenApp(w.T.Context(), w.ServerConfig(&w.Clock, w.Config("LATCHKEY_MASTER_KEY="+masterKeys)))
	if err != nil {
		return err
	}
	return errors.Join(do(w.T.Context(), a), a.Close())
}

// rewrapCommand runs "keys rewrap" with the master keys. It returns the error message of the
// command.
func rewrapCommand(w *kit.Fixture, masterKeys string, flags ...string) error {
	w.T.Helper()
	r := kit.TryCommand(w.T, append(w.Environ(), "LATCHKEY_MASTER_KEY="+masterKeys), append([]string{"keys", "rewrap"}, flags...)...)
	if r.ExitCode != 0 {
		return errors.New(r.Stderr)
	}
	return nil
}

// addSecretsOfEachKind adds the secrets that kit.Document does not contain: a queued message, a
// kept answer, and the secrets of senders and delivery configs of both dialects.
func addSecretsOfEachKind(ctx context.Context, a *server.App) error {
	var failures []error
	seal := func(sealContext string) storage.Sealed {
		sealed, err := a.Sealer.Seal([]byte("secret in "+sealContext), sealContext)
		failures = append(failures, err)
		return sealed
	}
	_, err := a.Store.PutSender(ctx, storage.Sender{
		ID: "all", RealmID: storage.DefaultRealmID, Kind: storage.WebhookSender, Signature: storage.StandardWebhookSignature,
		SharedKey: seal(ordercloudwire.SharedKeyContext), SigningSecrets: seal(ordercloudwire.SigningSecretsContext),
		SMTP: storage.SMTPSettings{Password: seal(ordercloudwire.SMTPPasswordContext)},
	})
	failures = append(failures, err)
	_, err = a.Store.PutSender(ctx, storage.Sender{
		ID: "integration", RealmID: storage.DefaultRealmID, Kind: storage.WebhookSender, Dialect: storage.ElasticPathDialect,
		SharedKey: seal(elasticpathwire.SecretKeyContext),
	})
	failures = append(failures, err)
	_, err = a.Store.PutDeliveryConfig(ctx, storage.DeliveryConfig{
		ID: "all", RealmID: storage.DefaultRealmID, Target: "http",
		Secret: seal(ordercloudwire.DeliverySecretContext), CustomAuthHeader: seal(ordercloudwire.DeliveryHeaderContext),
	})
	const answer = "answer"
	failures = append(failures, err, a.Store.KeepAnswer(ctx, storage.KeptAnswer{
		ID: answer, Request: []byte("digest"), Answer: seal(oauth.SealContexts(storage.SealedAnswer, answer)[0]), CreatedAt: a.Now().UTC(), ExpiresAt: a.Now().UTC().Add(time.Hour),
	}))
	failures = append(failures, queueMessages(ctx, a, 3*rewrap.BatchSize/2))
	return errors.Join(failures...)
}

// queueMessages adds messages that are due in an hour.
func queueMessages(ctx context.Context, a *server.App, n int) error {
	now := a.Now().UTC()
	x := storage.Issuance{RequestID: "req_rewrap", Now: now}
	var notice storage.IssuedNotice
	for range n {
		id, err := storage.NewID(a.Rand, "msg_")
		if err != nil {
			return err
		}
		payload, err := otp.Payload{Username: "jane", Code: "12345678"}.Seal(a.Sealer, id)
		if err != nil {
			return err
		}
		notice.Messages = append(notice.Messages, storage.Message{
			ID: id, RequestID: x.RequestID, SenderID: "sink", Type: storage.MessageOneTimePassword, Payload: payload,
			State: storage.MessageQueued, RunAt: now.Add(time.Hour), ExpiresAt: now.Add(2 * time.Hour), CreatedAt: now,
		})
	}
	err := a.Store.AddCodeRequest(ctx, storage.CodeRequest{
		ID: x.RequestID, Type: storage.MessageOneTimePassword, ProfileID: storage.DefaultProfileID, CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour),
	})
	x.Notices = append(x.Notices, notice)
	_, issueErr := a.Store.IssueCodes(ctx, x)
	return errors.Join(err, issueErr)
}

// TestRewrap changes the master key of a database in use. Afterwards the old master key opens
// nothing, and everything works with the new one.
func TestRewrap(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const issuer = "LATCHKEY_ISSUER=http://id.example"
		before := w.Serve(issuer)
		token := before.SignIn("jane", kit.Password).AccessToken(t)
		before.Stop()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(withMaster(w, kit.MasterKey, func(ctx context.Context, a *server.App) error { return addSecretsOfEachKind(ctx, a) }))
		const both = nextMasterKey + "," + kit.MasterKey
		var first []rewrap.Count
		must(withMaster(w, both, func(ctx context.Context, a *server.App) (err error) {
			if first, err = countSealed(ctx, a); err != nil {
				return err
			}
			if err = rewrapCommand(w, both, "--plan"); err != nil {
				return err
			}
			planned, err := countSealed(ctx, a)
			if diff := cmp.Diff(first, planned); diff != "" {
				t.Errorf("the plan changed secrets (-before +after):\n%s", diff)
			}
			// A run that ends after the first kinds is continued by the next run.
			for _, kind := range []storage.SealedKind{storage.SealedSigningKey, storage.SealedPepper} {
				_, failed := a.Rewrapper().Kind(ctx, kind)
				err = errors.Join(err, failed)
			}
			return err
		}))
		for _, v := range first {
			if v.Older == 0 || v.Current+v.Unknown > 0 {
				t.Errorf("before: got %+v, want some to rewrap and no others", v)
			}
		}
		must(rewrapTwice(w, both))
		checkRewrapped(w, t, first)

		after := w.Serve(issuer, "LATCHKEY_MASTER_KEY="+nextMasterKey)
		if got := after.Introspect(token); got.Field("username") != "jane" {
			t.Errorf("a token from before: got %s", got.Body)
		}
		after.SignIn("jane", kit.Password).AccessToken(t)
		if err := withMaster(w, kit.MasterKey, func(context.Context, *server.App) error { return nil }); !errors.Is(err, keys.ErrUnknownMasterKey) {
			t.Errorf("with the old master key: got %v, want ErrUnknownMasterKey", err)
		}
	})
}

// rewrapTwice rewraps in two processes at the same time.
func rewrapTwice(w *kit.Fixture, masterKeys string) error {
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() {
			errs[i] = rewrapCommand(w, masterKeys)
		})
	}
	both.Wait()
	return errors.Join(errs...)
}

// checkRewrapped opens all secrets with only the new master key.
func checkRewrapped(w *kit.Fixture, t *testing.T, first []rewrap.Count) {
	t.Helper()
	err := withMaster(w, nextMasterKey, func(ctx context.Context, a *server.App) error {
		last, err := countSealed(ctx, a)
		if err != nil {
			return err
		}
		for i, v := range last {
			if want := (rewrap.Count{Kind: v.Kind, Current: first[i].Older}); v != want {
				t.Errorf("after: got %+v, want %+v", v, want)
			}
			secrets, err := a.Store.SealedOtherwise(ctx, v.Kind, "", "", 1000)
			if err != nil || len(secrets) != v.Current {
				t.Fatalf("%s: got %d secrets, error %v", v.Kind, len(secrets), err)
			}
			for _, secret := range secrets {
				if _, err := a.Rewrapper().Reseal(secret); err != nil {
					t.Errorf("%s of %q: got %v, want no error", v.Kind, secret.ID, err)
				}
			}
		}
		return nil
	})
	// A run with nothing to rewrap is not an error.
	if err = errors.Join(err, rewrapCommand(w, nextMasterKey)); err != nil {
		t.Error(err)
	}
}

// TestRewrapReportsUnknownMasterKeys tests that a secret that is sealed under an unknown master
// key is reported.
func TestRewrapReportsUnknownMasterKeys(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db")
	err := withMaster(w, kit.MasterKey, func(ctx context.Context, a *server.App) error {
		_, err := a.Store.PutDeliveryConfig(ctx, storage.DeliveryConfig{
			ID: "lost", RealmID: storage.DefaultRealmID, Target: "http", Secret: storage.Sealed{KeyID: "lost", Data: []byte("lost")},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = rewrapCommand(w, nextMasterKey+","+kit.MasterKey)
	if err == nil || !strings.Contains(err.Error(), "under a master key that was not given: 1;") {
		t.Errorf("rewrap: got %v", err)
	}
	if err := withMaster(w, nextMasterKey, func(ctx context.Context, a *server.App) error { return a.OpenRing(ctx) }); err != nil {
		t.Errorf("the other secrets: got %v, want them rewrapped", err)
	}
}

// countSealed counts the sealed secrets of each kind.
func countSealed(ctx context.Context, a *server.App) ([]rewrap.Count, error) {
	return a.Rewrapper().Count(ctx)
}
