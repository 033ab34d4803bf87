// Command zitadel-relying-party is an application that signs people in with the library
// zitadel/oidc. It shows what userinfo says.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func main() {
	var input struct {
		Issuer       string
		RelyingParty struct{ ID, Secret string }
	}
	if err := json.Unmarshal([]byte(os.Getenv("INPUT")), &input); err != nil {
		log.Fatal(err)
	}
	address := os.Getenv("LISTEN")
	base := "http://" + address
	cookies := httphelper.NewCookieHandler([]byte("0123456789abcdef"), []byte("0123456789abcdef"), httphelper.WithUnsecure())
	provider, err := rp.NewRelyingPartyOIDC(context.Background(), input.Issuer, input.RelyingParty.ID, input.RelyingParty.Secret,
		base+"/callback", []string{oidc.ScopeOpenID, oidc.ScopeEmail}, rp.WithCookieHandler(cookies), rp.WithPKCE(cookies))
	if err != nil {
		log.Fatal(err)
	}
	idToken := "" // of the only user
	show := func(w http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], _ string, _ rp.RelyingParty, info *oidc.UserInfo) {
		idToken = tokens.IDToken
		_ = json.NewEncoder(w).Encode(info)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /login", rp.AuthURLHandler(func() string { return "a-state" }, provider))
	mux.Handle("GET /callback", rp.CodeExchangeHandler(rp.UserinfoCallback(show), provider))
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) {
		query := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {base + "/"}}
		http.Redirect(w, r, provider.GetEndSessionEndpoint()+"?"+query.Encode(), http.StatusFound)
	})
	web := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(web.ListenAndServe())
}
