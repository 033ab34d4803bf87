// Package keys tests how signing keys rotate and are revoked, and how a master key is replaced,
// while services verify tokens.
package keys
