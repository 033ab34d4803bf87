package dpop

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"time"
)

// readClaims checks the claims of a proof against the request (RFC 9449 §4.3,
// checks 8 to 12).
func (v *Verifier) readClaims(claims map[string]any, r Request) (Proof, error) {
	if method, _ := claims["htm"].(string); method == "" || method != r.Method {
		return Proof{}, fmt.Errorf("htm is %.32q", claims["htm"])
	}
	if err := checkTarget(claims["htu"], r.URL); err != nil {
		return Proof{}, err
	}
	if err := checkToken(claims["ath"], r.AccessToken); err != nil {
		return Proof{}, err
	}
	issued, err := v.readTime(claims["iat"])
	if err != nil {
		return Proof{}, err
	}
	if err := v.checkValidity(claims); err != nil {
		return Proof{}, err
	}
	id, _ := claims["jti"].(string)
	if id == "" || len(id) > maxIDBytes {
		return Proof{}, errors.New("jti is missing or too long")
	}
	nonce, isText := claims["nonce"].(string)
	if claims["nonce"] != nil && (!isText || nonce == "") {
		return Proof{}, errors.New("nonce is empty or not a string")
	}
	return Proof{ID: id, Nonce: nonce, IssuedAt: issued}, nil
}

// checkTarget compares htu with the URL of the request.
func checkTarget(claim any, requested string) error {
	text, _ := claim.(string)
	target, ok := normalizeURL(text)
	if !ok {
		return errors.New("htu is not an absolute HTTP URL")
	}
	if want, ok := normalizeURL(requested); !ok || target != want {
		return fmt.Errorf("htu is %.128q, the request was for %q", target, want)
	}
	return nil
}

// checkToken compares ath with the hash of the access token, if there is one.
func checkToken(claim any, token string) error {
	if token == "" {
		return nil
	}
	text, _ := claim.(string)
	if subtle.ConstantTimeCompare([]byte(text), []byte(tokenHash(token))) != 1 {
		return errors.New("ath is not the hash of the access token")
	}
	return nil
}

// checkValidity checks exp and nbf, which are optional in a proof (RFC 7519 §4.1).
func (v *Verifier) checkValidity(claims map[string]any) error {
	for _, name := range [...]string{"exp", "nbf"} {
		claim, present := claims[name]
		if !present {
			continue
		}
		seconds, ok := claim.(float64)
		now := float64(v.now().Unix())
		switch skew := v.skew().Seconds(); {
		case !ok:
			return fmt.Errorf("%s is not a number", name)
		case name == "exp" && seconds <= now-skew:
			return errors.New("exp is in the past")
		case name == "nbf" && seconds > now+skew:
			return errors.New("nbf is in the future")
		}
	}
	return nil
}

// readTime returns iat. It returns an error if iat is older than MaxAge or further in the
// future than Skew. It first checks the range, because a number in JSON may be larger
// than any time.Time.
func (v *Verifier) readTime(claim any) (time.Time, error) {
	const latest = 1 << 40
	seconds, ok := claim.(float64)
	if !ok || !(seconds > 0 && seconds < latest) {
		return time.Time{}, errors.New("iat is not a time")
	}
	whole, rest := math.Modf(seconds)
	issued := time.Unix(int64(whole), int64(rest*float64(time.Second))).UTC()
	switch age := v.now().Sub(issued); {
	case age > v.maxAge():
		return time.Time{}, fmt.Errorf("iat is %v ago", age)
	case age < -v.skew():
		return time.Time{}, fmt.Errorf("iat is %v ahead", -age)
	}
	return issued, nil
}
