// Package console tells how administrators use the console: how they sign in, what their
// roles show them, and what happens to what they type. site_test.go has the fixture: a
// server with administrators, and browsers that keep cookies and post forms.
package console
