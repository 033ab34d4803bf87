// Package terminal keeps characters that control a terminal out of what the program
// writes: its log, its JSON output and its tables. An attacker chooses usernames and
// parts of requests. Such characters could hide or forge lines (ASVS 16.4.1).
package terminal
