package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

func (c *cli) messageCommand() *cobra.Command {
	filter := storage.MessageFilter{}
	list := &cobra.Command{
		Use:   "list",
		Short: "List messages, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withMessages(cmd, func(store *gormstore.Store) error { return c.listMessages(cmd, store, filter) })
		},
	}
	list.Flags().StringVar((*string)(&filter.State), "state", "", "only those that are queued, delivered, expired or dead")
	list.Flags().StringVar(&filter.SenderID, "sender", "", "only those of the message sender with this ID")
	list.Flags().IntVar(&filter.Limit, "limit", 50, "how many at most")
	show := &cobra.Command{
		Use:               "show ID",
		ValidArgsFunction: c.completeMessages,
		Short:             "Show what happened to a message, or to a whole code request, step by step",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withMessages(cmd, func(store *gormstore.Store) error { return c.showMessage(cmd, store, args[0]) })
		},
	}
	retry := &cobra.Command{
		Use:               "retry ID",
		ValidArgsFunction: c.completeMessages,
		Short:             "Deliver a message now that waits or has failed, while its code lives",
		Long: `Deliver a message now, while its code lives.

A message that waits for its next attempt is tried at once. A message that ended
without being delivered no longer has its code. Then a new code is issued for the
same login, to all senders that serve it. The new code expires when the old one would
have.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withExistingApp(cmd.Context(), cfg, func(a *app) error { return c.retryMessage(cmd, a, args[0]) })
		},
	}
	return group("message", "Messages that carry one-time passwords", list, show, retry)
}

func (c *cli) withMessages(cmd *cobra.Command, do func(*gormstore.Store) error) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, do)
}

// messageView is a message in the output.
type messageView struct {
	ID        string               `json:"id"`
	RequestID string               `json:"request_id"`
	Sender    string               `json:"sender"`
	Type      storage.MessageType  `json:"type"`
	User      string               `json:"user"`
	Trace     string               `json:"trace_id"`
	State     storage.MessageState `json:"state"`
	Attempts  int                  `json:"attempts"`
	Reason    string               `json:"reason"` // of the last failure
	CreatedAt *time.Time           `json:"created_at"`
	DueAt     *time.Time           `json:"due_at"` // null: not queued
	ExpiresAt *time.Time           `json:"expires_at"`
	EndedAt   *time.Time           `json:"ended_at"`
}

func viewMessage(m storage.Message) messageView {
	v := messageView{
		ID: m.ID, RequestID: m.RequestID, Sender: m.SenderID, Type: m.Type, User: m.UserUID, Trace: m.TraceID,
		State: m.State, Attempts: m.Attempts, Reason: m.LastError,
		CreatedAt: optionalTime(m.CreatedAt), ExpiresAt: optionalTime(m.ExpiresAt), EndedAt: optionalTime(m.EndedAt),
	}
	if m.State == storage.MessageQueued {
		v.DueAt = optionalTime(m.RunAt)
	}
	return v
}

func (c *cli) listMessages(cmd *cobra.Command, store *gormstore.Store, f storage.MessageFilter) error {
	states := []storage.MessageState{"", storage.MessageQueued, storage.MessageDelivered, storage.MessageExpired, storage.MessageDead}
	if !slices.Contains(states, f.State) {
		return usagef("--state must be queued, delivered, expired or dead, not %q", f.State)
	}
	if f.Limit < 1 || f.Limit > 10_000 {
		return usagef("--limit must be from 1 to 10000")
	}
	messages, err := store.Messages(cmd.Context(), f)
	if err != nil {
		return err
	}
	views := make([]messageView, len(messages))
	for i, m := range messages {
		views[i] = viewMessage(m)
	}
	return c.print(views, func(w io.Writer) error {
		return table(w, "ID\tSENDER\tSTATE\tATTEMPTS\tCREATED\tENDED\tREASON", len(messages), func(i int) string {
			m := messages[i]
			return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%s", m.ID, m.SenderID, m.State, m.Attempts,
				showTime(m.CreatedAt, "-"), showTime(m.EndedAt, "-"), cmp.Or(oneLine(m.LastError), "-"))
		})
	})
}

// step is one entry of a timeline.
type step struct {
	At      time.Time `json:"at"`
	Step    string    `json:"step"`
	Message string    `json:"message,omitempty"`
	Code    string    `json:"code_id,omitempty"` // not the code
	Attempt int       `json:"attempt,omitempty"`
	Millis  *int64    `json:"milliseconds,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// showMessage prints the timeline of a request or of a message; see otp.FindTimeline.
func (c *cli) showMessage(cmd *cobra.Command, store *gormstore.Store, id string) error {
	t, err := otp.FindTimeline(cmd.Context(), store, id)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("no message or code request %q; what has ended is kept for a day", id)
	}
	if err != nil {
		return err
	}
	steps := stepsOf(t, c.now())
	return c.print(map[string]any{"request_id": t.Request.ID, "client_id": t.Request.ClientID, "steps": steps}, func(w io.Writer) error {
		return table(w, "AT\tSTEP\tWHAT\tDETAIL", len(steps), func(i int) string {
			s := steps[i]
			return fmt.Sprintf("%s\t%s\t%s\t%s", s.At.UTC().Format("2006-01-02T15:04:05.000Z"), s.Step,
				cmp.Or(s.Message, s.Code, "-"), cmp.Or(s.text(), "-"))
		})
	})
}

func (s step) text() string {
	var parts []string
	if s.Attempt > 0 {
		parts = append(parts, fmt.Sprintf("attempt %d", s.Attempt))
	}
	if s.Millis != nil {
		parts = append(parts, fmt.Sprintf("%d ms", *s.Millis))
	}
	if s.Detail != "" {
		parts = append(parts, oneLine(s.Detail))
	}
	return strings.Join(parts, ", ")
}

func stepsOf(t storage.Timeline, now time.Time) []step {
	var steps []step
	for _, s := range otp.Steps(t, now) {
		shown := step{At: s.At, Step: s.Name, Message: s.MessageID, Code: s.CodeID, Attempt: s.Attempt, Detail: s.Detail}
		if s.Attempt > 0 {
			shown.Millis = new(s.Took.Milliseconds())
		}
		steps = append(steps, shown)
	}
	return steps
}

func (c *cli) retryMessage(cmd *cobra.Command, a *app, id string) error {
	request, err := otp.Retry(cmd.Context(), a.store, c.random, id, c.now())
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("no message %q; what has ended is kept for a day", id)
	}
	if err != nil {
		return err
	}
	if err := a.audit(cmd.Context(), "message.retried", "Message/"+id); err != nil {
		return err
	}
	if err := a.store.NotifyOthers(cmd.Context()); err != nil {
		return err
	}
	result := struct {
		Message string `json:"message"`
		Request string `json:"new_request,omitempty"`
	}{id, request}
	return c.print(result, func(w io.Writer) error {
		text := "message " + id + " is due now\n"
		if request != "" {
			text = "message " + id + " has ended; another code is on its way: " + request + "\n"
		}
		_, err := io.WriteString(w, text)
		return err
	})
}
