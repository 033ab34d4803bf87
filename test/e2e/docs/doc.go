// Package docs runs the commands of the documentation beside a running server.
package docs
