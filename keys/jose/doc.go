// Package jose is the one list of what this module accepts of JSON Object Signing
// and Encryption: algorithms, header parameters, members and sizes of keys.
//
// It decides what is allowed, and nothing else. It decodes no token, verifies no
// signature and keeps no key. It uses the standard library only, so that every
// package may import it.
package jose
