// Package config holds Latchkey's settings: one typed tree with the default
// beside each field, and the strict loader that fills it from flags,
// LATCHKEY_* variables and a YAML file.
//
// It owns what a setting is called, what it may be and how its faults are
// told: all of them at once, each by the name of its setting, and never with
// the value of a secret. It does not own what the settings are used for, so it
// imports nothing else of Latchkey, opens no database and starts nothing. The
// one file it may write is the master key beside an SQLite database (see
// Config.ResolveMasterKeys).
package config
