package signinpage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"latchkey/storage"
)

// sample is a page that is filled to check the templates, with what it must contain.
type sample struct {
	page
	wanted []string
}

// samples returns all pages, with all that they can show.
func samples() []sample {
	all := []sample{
		{page{Step: stepName, Name: "jane", Alert: "alertName"}, []string{`name="username"`, `autocomplete="username"`, "<label"}},
		{page{Step: stepCode, Alert: alertWait, Notice: noticeNewCode, HasPassword: true, Seconds: 600}, []string{`name="code"`, `autocomplete="one-time-code"`, "<label", `value="again"`, `value="other"`, `value="password"`}},
		{page{Step: stepCode, Digits: true, CodeEnded: true}, []string{`inputmode="numeric"`}},
		{page{Step: stepPassword, Alert: alertPassword, HasCode: true}, []string{`name="password"`, `autocomplete="current-password"`, "<label", `value="again"`, `value="other"`}},
		{page{Step: stepResume, User: "jane"}, []string{"jane", `value="other"`}},
		{page{Step: stepAccount, User: "jane", Accounts: []storage.Member{{Account: storage.Account{ID: "acme", Name: "Acme Ltd"}}}}, []string{`name="account"`, `value="acme"`, "Acme Ltd"}},
		{page{Step: stepConsent, User: "jane", Scopes: []string{"profile", "email", "phone", "offline_access", "Shopper"}}, []string{"Shopper", `value="deny"`}},
	}
	for i := range all {
		p := &all[i].page
		p.State, p.Client, p.Action = "sealed", "Example", "/sample/signin"
		all[i].wanted = append(all[i].wanted, `name="state"`, `value="sealed"`, `action="/sample/signin"`, `method="post"`, "Example")
	}
	return append(
		all,
		sample{page{Step: stepLogout, User: "jane", State: "sealed", Action: "/sample/signin/logout"}, []string{"jane", `name="state"`, `value="sealed"`, `action="/sample/signin/logout"`, `method="post"`, `value="stay"`}},
		sample{page{Step: stepLoggedOut}, []string{`role="status"`}},
		sample{page{Step: stepStays}, []string{`role="status"`}},
		sample{page{Step: stepLogoutError, Alert: alertRequest, RequestID: "f00d", Detail: "A detail."}, []string{`role="alert"`, "f00d", "A detail."}},
		sample{page{Step: stepRespond, Action: "https://app.example/", Fields: url.Values{"code": {"lkc"}}}, []string{`name="code"`, `value="lkc"`, `action="https://app.example/"`}},
		sample{page{Step: stepTooMany, Alert: alertTooMany, Wait: 1, RequestID: "f00d"}, []string{`role="alert"`, "f00d"}},
		sample{page{Step: stepError, Alert: alertRequest, RequestID: "f00d", Detail: "A detail."}, []string{`role="alert"`, "f00d", "A detail."}},
	)
}

// check fills all pages in all languages. It returns an error if one cannot be filled, or
// lacks what a user or a browser needs.
func (t *Templates) check() error {
	var faults []error
	for _, locale := range t.locales {
		for _, s := range samples() {
			s.Locale, s.Base = locale, "/sample"
			body, err := t.fill(s.page)
			if err != nil {
				faults = append(faults, fmt.Errorf("page templates: %w", err))
				continue
			}
			wanted := s.wanted
			if s.Alert != "" {
				wanted = append(wanted, `role="alert"`)
			}
			for _, w := range wanted {
				if !strings.Contains(string(body), w) {
					faults = append(faults, fmt.Errorf("page templates: page.html does not have %s at the step %s", w, s.Step))
				}
			}
		}
		if faults != nil {
			break // other languages have the same faults
		}
	}
	return errors.Join(faults...)
}
