// Package config holds Latchkey's settings: the struct Config with the default
// beside each field, and a strict loader that fills it from flags, LATCHKEY_*
// variables and a YAML file.
//
// It owns the names of settings, their allowed values and the messages about
// faults. All faults are reported at once, each with the name of its setting and
// never with the value of a secret. It does not own the use of the settings: it
// imports no other package of Latchkey, opens no database and starts nothing. The
// only file that it may write is the master key beside an SQLite database, see
// Config.ResolveMasterKeys.
package config
