package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	elasticpathwire "latchkey/oauth/elasticpath/wire"
	ordercloudwire "latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/server/rewrap"
	"latchkey/otp"
	"latchkey/storage"
)

// nextMasterKey is 32 other bytes that seal nothing of worth.
const nextMasterKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="

// withMaster runs do with the world's database opened under master keys.
func (w *world) withMaster(masterKeys string, do func(ctx context.Context, c *cli, a *app) error) error {
	w.t.Helper()
	c := w.cli(&w.clock)
	c.stdout = io.Discard
	return c.withApp(w.t.Context(), w.config("LATCHKEY_MASTER_KEY="+masterKeys), func(a *app) error {
		return do(w.t.Context(), c, a)
	})
}

// addSecretsOfEachKind makes what the world's document does not: a queued
// message, and the secrets of senders and delivery configs of either dialect.
func addSecretsOfEachKind(ctx context.Context, a *app) error {
	var failures []error
	seal := func(sealContext string) storage.Sealed {
		sealed, err := a.sealer.Seal([]byte("secret in "+sealContext), sealContext)
		failures = append(failures, err)
		return sealed
	}
	_, err := a.store.PutSender(ctx, storage.Sender{
		ID: "all", RealmID: storage.DefaultRealmID, Kind: storage.WebhookSender, Signature: storage.StandardWebhookSignature,
		SharedKey: seal(ordercloudwire.SharedKeyContext), SigningSecrets: seal(ordercloudwire.SigningSecretsContext),
		SMTP: storage.SMTPSettings{Password: seal(ordercloudwire.SMTPPasswordContext)},
	})
	failures = append(failures, err)
	_, err = a.store.PutSender(ctx, storage.Sender{
		ID: "integration", RealmID: storage.DefaultRealmID, Kind: storage.WebhookSender, Dialect: storage.ElasticPathDialect,
		SharedKey: seal(elasticpathwire.SecretKeyContext),
	})
	failures = append(failures, err)
	_, err = a.store.PutDeliveryConfig(ctx, storage.DeliveryConfig{
		ID: "all", RealmID: storage.DefaultRealmID, Target: "http",
		Secret: seal(ordercloudwire.DeliverySecretContext), CustomAuthHeader: seal(ordercloudwire.DeliveryHeaderContext),
	})
	failures = append(failures, err, queueMessages(ctx, a, 3*rewrap.BatchSize/2))
	return errors.Join(failures...)
}

// queueMessages makes messages that are not due for an hour.
func queueMessages(ctx context.Context, a *app, n int) error {
	now := a.now().UTC()
	x := storage.Issuance{RequestID: "req_rewrap", Now: now}
	var notice storage.IssuedNotice
	for range n {
		id, err := storage.NewID(a.random, "msg_")
		if err != nil {
			return err
		}
		payload, err := otp.Payload{Username: "jane", Code: "12345678"}.Seal(a.sealer, id)
		if err != nil {
			return err
		}
		notice.Messages = append(notice.Messages, storage.Message{
			ID: id, RequestID: x.RequestID, SenderID: "sink", Type: storage.MessageOneTimePassword, Payload: payload,
			State: storage.MessageQueued, RunAt: now.Add(time.Hour), ExpiresAt: now.Add(2 * time.Hour), CreatedAt: now,
		})
	}
	err := a.store.AddCodeRequest(ctx, storage.CodeRequest{
		ID: x.RequestID, Type: storage.MessageOneTimePassword, ProfileID: storage.DefaultProfileID, CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour),
	})
	x.Notices = append(x.Notices, notice)
	_, issueErr := a.store.IssueCodes(ctx, x)
	return errors.Join(err, issueErr)
}

// TestRewrap changes the master key of a database in use: after it the old one
// opens nothing, and nobody misses it.
func TestRewrap(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		const issuer = "LATCHKEY_ISSUER=http://id.example"
		before := w.serve(issuer)
		token := before.signIn("jane", janesPassword).mustIssue(t)
		before.stop()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.withMaster(testMasterKey, func(ctx context.Context, _ *cli, a *app) error { return addSecretsOfEachKind(ctx, a) }))
		const both = nextMasterKey + "," + testMasterKey
		var first []rewrapView
		must(w.withMaster(both, func(ctx context.Context, c *cli, a *app) (err error) {
			if first, err = countSealed(ctx, a); err != nil {
				return err
			}
			if err = c.planRewrap(ctx, a); err != nil {
				return err
			}
			planned, err := countSealed(ctx, a)
			if diff := cmp.Diff(first, planned); diff != "" {
				t.Errorf("the plan did something:\n%s", diff)
			}
			// A run that ends after the first kinds is taken up by the next.
			for _, kind := range []storage.SealedKind{storage.SealedSigningKey, storage.SealedPepper} {
				_, failed := a.core.Rewrapper().Kind(ctx, kind)
				err = errors.Join(err, failed)
			}
			return err
		}))
		for _, v := range first {
			if v.Rewrap == 0 || v.Current+v.Unknown > 0 {
				t.Errorf("before: %+v, want some to rewrap and no others", v)
			}
		}
		must(w.rewrapTwice(both))
		w.checkRewrapped(t, first)

		after := w.serve(issuer, "LATCHKEY_MASTER_KEY="+nextMasterKey)
		if got := after.introspect(token); got.field("username") != "jane" {
			t.Errorf("a token from before: %s", got.body)
		}
		after.signIn("jane", janesPassword).mustIssue(t)
		if err := w.withMaster(testMasterKey, func(context.Context, *cli, *app) error { return nil }); !errors.Is(err, keys.ErrUnknownMasterKey) {
			t.Errorf("with the old master key: %v, want ErrUnknownMasterKey", err)
		}
	})
}

// rewrapTwice has two processes do it at the same time.
func (w *world) rewrapTwice(masterKeys string) error {
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() {
			errs[i] = w.withMaster(masterKeys, func(ctx context.Context, c *cli, a *app) error { return c.rewrap(ctx, a) })
		})
	}
	both.Wait()
	return errors.Join(errs...)
}

// checkRewrapped opens everything with the new master key alone.
func (w *world) checkRewrapped(t *testing.T, first []rewrapView) {
	t.Helper()
	err := w.withMaster(nextMasterKey, func(ctx context.Context, c *cli, a *app) error {
		last, err := countSealed(ctx, a)
		if err != nil {
			return err
		}
		for i, v := range last {
			if want := (rewrapView{Kind: v.Kind, Current: first[i].Rewrap}); v != want {
				t.Errorf("after: %+v, want %+v", v, want)
			}
			secrets, err := a.store.SealedOtherwise(ctx, v.Kind, "", "", 1000)
			if err != nil || len(secrets) != v.Current {
				t.Fatalf("%s: %d secrets, error %v", v.Kind, len(secrets), err)
			}
			for _, secret := range secrets {
				if _, err := a.core.Rewrapper().Reseal(secret); err != nil {
					t.Errorf("%s of %q: %v", v.Kind, secret.ID, err)
				}
			}
		}
		return c.rewrap(ctx, a) // nothing is left to do, and it says so without an error
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRewrapTellsWhatItCannotOpen leaves one secret under a master key that
// nobody has any more.
func TestRewrapTellsWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite:"+t.TempDir()+"/latchkey.db")
	err := w.withMaster(testMasterKey, func(ctx context.Context, _ *cli, a *app) error {
		_, err := a.store.PutDeliveryConfig(ctx, storage.DeliveryConfig{
			ID: "lost", RealmID: storage.DefaultRealmID, Target: "http", Secret: storage.Sealed{KeyID: "lost", Data: []byte("lost")},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.withMaster(nextMasterKey+","+testMasterKey, func(ctx context.Context, c *cli, a *app) error { return c.rewrap(ctx, a) })
	if err == nil || !strings.Contains(err.Error(), "under a master key that was not given: 1;") {
		t.Errorf("rewrap = %v", err)
	}
	if err := w.withMaster(nextMasterKey, func(ctx context.Context, _ *cli, a *app) error { return a.openRing(ctx) }); err != nil {
		t.Errorf("the others are not rewrapped: %v", err)
	}
}

// countSealed returns the view of "keys rewrap --dry-run".
func countSealed(ctx context.Context, a *app) ([]rewrapView, error) {
	counts, err := a.core.Rewrapper().Count(ctx)
	return viewCounts(counts), err
}
