package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
)

const (
	healthTimeout = 4 * time.Second // readiness takes three at most
	healthBody    = 4 << 10         // bytes read of an answer
)

func (c *cli) healthcheckCommand() *cobra.Command {
	var live bool
	cmd := withAllSettings(&cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it takes requests; for images without a shell",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			path := "/readyz"
			if live {
				path = "/healthz"
			}
			return c.healthcheck(cmd.Context(), cfg, path)
		},
	})
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether the process runs")
	return cmd
}

// healthcheck asks the ops address of the settings. The error contains the answer.
func (c *cli) healthcheck(ctx context.Context, cfg config.Config, path string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	address, err := ownAddress(cfg.OpsListen)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, healthBody))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s", request.URL, response.StatusCode, oneLine(string(body)))
	}
	return c.done("%s", oneLine(string(body)))
}

// ownAddress returns the address by which this machine reaches a listener. A listener on
// all addresses is reached by the loopback address.
func ownAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
