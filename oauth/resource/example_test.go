package resource_test

import (
	"fmt"
	"log"
	"net/http"

	"latchkey/oauth/resource"
)

// A service requires the scope OrderReader for orders, and a member of an account for
// checkouts.
func Example() {
	verifier, err := resource.New(resource.Config{
		Issuer:    "https://login.example.com",
		Audiences: []string{"https://orders.example.com"},
		DPoP:      &resource.DPoP{BaseURL: "https://orders.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Require("OrderReader")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "orders of", token.Subject)
	})))
	mux.Handle("POST /checkout", verifier.RequireAccountMember()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := resource.AccountMemberFromContext(r.Context())
		_, _ = fmt.Fprintln(w, "paid by", member.Account.Name)
	})))
	server := &http.Server{Addr: "127.0.0.1:8090", Handler: mux} // then server.ListenAndServe()
	fmt.Println(server.Addr)
	// Output: 127.0.0.1:8090
}
