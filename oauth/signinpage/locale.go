package signinpage

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"

	"latchkey/oauth"
)

// localeOf returns the language of a page: the first that there is of those in ui_locales
// (OpenID Connect Core 1.0 §3.1.2.1), in the header Accept-Language and of the user. The
// language of the user is used after the sign-in only. Before it, the language would show
// that the user exists.
func (t *Templates) localeOf(r *http.Request, q *oauth.AuthorizationRequest, userLocale string) string {
	var wanted []string
	if q != nil {
		wanted = strings.Fields(q.UILocales)
	}
	if tags, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language")); err == nil {
		for _, tag := range tags {
			wanted = append(wanted, tag.String())
		}
	}
	for _, locale := range append(wanted, userLocale) {
		if found, ok := t.match(locale); ok {
			return found
		}
	}
	return defaultLocale
}

// match returns the language of the pages that is best for the locale: for de-AT that is
// de-AT, otherwise de.
func (t *Templates) match(locale string) (string, bool) {
	locale = strings.ToLower(strings.ReplaceAll(locale, "_", "-"))
	for locale != "" {
		if _, ok := t.texts[locale]; ok {
			return locale, true
		}
		locale = locale[:max(0, strings.LastIndexByte(locale, '-'))]
	}
	return "", false
}
