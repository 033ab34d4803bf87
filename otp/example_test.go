package otp_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

// The service stores a request for a code, issues the code and queues a message with it.
// The message is opened for delivery only.
func ExampleService() {
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize)) // use 32 secret random bytes
	if err != nil {
		panic(err)
	}
	store := &memoryStore{ // a store with one user, one client and one sender
		client: storage.Client{
			ID: "shop", Active: true, ProfileID: "default", GrantTypes: []string{"password"},
			Credentials: storage.Credentials{OTP: true}, AllowAnyBuyer: true,
		},
		profile: storage.PasswordProfile{ID: "default", OneTimeCodes: true, Code: otp.DefaultFormat()},
		senders: []storage.Sender{{ID: "mail", Active: true, Types: allTypes(), AllowAllBuyers: true}},
		logins:  []*storage.Principal{newPrincipal("bob", "bob@example.com")},
	}
	codes, queued := otp.NewCodes(&testDigester{}), make(chan struct{}, 1)
	service, err := otp.New(otp.Config{
		Store: store, People: store, Directory: store, Codes: codes, Sealer: sealer, Rand: rand.Reader,
		Wake: func() { queued <- struct{}{} }, // a server calls Wake of a deliver.Worker
	})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = service.Run(ctx) })

	if err := service.Request(ctx, store.client, otp.Request{Username: " Bob"}); err != nil {
		panic(err)
	}
	<-queued
	stop()
	running.Wait()
	payload, err := otp.OpenPayload(sealer, store.messages[0])
	if err != nil {
		panic(err)
	}
	fmt.Println("for", payload.Username, "with", len(payload.Code), "characters")
	signIn := []storage.Purpose{storage.PurposeSignIn}
	fmt.Println("matches:", codes.Match(*store.logins[0], "shop", signIn, payload.Code, time.Now()))
	// Output:
	// for bob with 8 characters
	// matches: true
}

// Only the digest of a code is stored. Match compares it with what the user enters.
func ExampleCodes_Match() {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	codes := otp.NewCodes(&testDigester{}) // a server uses *keys.Peppers
	login := storage.Login{ID: "lgn_bob", Code: storage.Code{
		ID:        "otc_1",
		ClientID:  "shop",
		Purpose:   storage.PurposeSignIn,
		Digest:    codes.Digest("lgn_bob", "7K0M1XQZ"),
		ExpiresAt: now.Add(10 * time.Minute),
	}}
	bob := storage.Principal{Known: true, Login: login}

	fmt.Println(codes.Match(bob, "shop", []storage.Purpose{storage.PurposeSignIn}, "7kom-lxqz", now))
	fmt.Println(codes.Match(bob, "shop", []storage.Purpose{storage.PurposeSignIn}, "7K0M1XQZ", now.Add(10*time.Minute)))
	fmt.Println(codes.Match(bob, "other", []storage.Purpose{storage.PurposeSignIn}, "7K0M1XQZ", now))
	// Output:
	// true
	// false
	// false
}
