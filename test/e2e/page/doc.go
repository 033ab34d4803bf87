// Package page tests how users sign in at the hosted pages: the authorization endpoint, the
// steps of the form, sessions of browsers, and what the application gets.
package page
