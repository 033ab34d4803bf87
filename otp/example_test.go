package otp_test

import (
	"fmt"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// A code is kept as a digest and matched against what a person types.
func ExampleCodes_Match() {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	codes := otp.NewCodes(&pepper{}) // in the server: *keys.Peppers
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
