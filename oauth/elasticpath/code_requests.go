package elasticpath

import (
	"errors"
	"net/http"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// postCodeRequest answers 202 to every request with a good body, whether or not the
// user exists. The request is resolved later, so neither the answer nor its time
// depends on the user. Package otp decides who gets a code.
func postCodeRequest(c *call) (surface.Answer, error) {
	p, err := findCachedProfile(c)
	if err != nil {
		return surface.Answer{}, err
	}
	raw, err := c.rawBody()
	if err != nil {
		return surface.Answer{}, err
	}
	body, err := wire.DecodeCodeRequest(raw)
	if err != nil {
		return surface.Answer{}, err
	}
	err = c.cfg.Codes.Request(c.Context(), *c.caller.Client, otp.Request{
		ProfileID: p.ID, Username: *body.Username, Purpose: body.StoredPurpose(),
		Address: c.cfg.Address(c.Context()), TraceID: c.cfg.TraceID(c.Context()),
	})
	return surface.Answer{Status: http.StatusAccepted}, err
}

// findCachedProfile returns the password profile that the path names, from a cache
// where possible.
func findCachedProfile(c *call) (storage.PasswordProfile, error) {
	realmID, _ := c.id("realm")
	id, ok := c.id("profile")
	if !ok {
		return storage.PasswordProfile{}, notFound("password profile")
	}
	p, err := c.cfg.Profiles.PasswordProfile(c.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != realmID {
		return p, notFound("password profile")
	}
	return p, err
}
