// Package console tests the console: how administrators sign in, which screens their roles
// show them, and what the forms change. site_test.go has the fixture: a
// server with administrators, and browsers that keep cookies and post forms.
package console
