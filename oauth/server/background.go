package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"latchkey/storage"
)

const (
	backgroundTimeout = 10 * time.Second
	reloadKeysEvery   = 30 * time.Second
	notifyPause       = 100 * time.Millisecond // between notifications of other replicas
	reloadKeysPause   = 500 * time.Millisecond // between reloads of keys because of changes
)

// Run serves until ctx ends or until vital returns. The work in the background
// goes on until the last request has been answered, and then finishes what it has
// begun. vital, which may be nil, goes on until that work has ended, because it shows
// other servers that they must not take the work over. The error joins those of the
// listeners, of the work in the background and of vital.
func (s *Server) Run(ctx context.Context, vital func(context.Context) error) error {
	store, log := s.app.Store, s.app.Logger
	store.OnChange(s.noteChange)
	store.OnWork(s.codes.Wake)
	store.OnWork(s.worker.Wake)
	store.OnRecovery(s.codes.Resume)
	store.OnRecovery(s.worker.Resume)
	endAudit := s.events.Start(ctx)
	defer endAudit()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := s.listen.Start(background); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	loops := []func(context.Context) error{
		store.Run, s.codes.Run, s.worker.Run, s.reloadKeys, s.sweeper.run, s.notifyReplicas, s.watchdog, s.tasks.Run,
	}
	failed := make(chan error, len(loops)+1)
	run := func(ctx context.Context, loop func(context.Context) error) {
		if err := loop(ctx); err != nil && !errors.Is(err, context.Canceled) {
			failed <- err
		}
	}
	var group, alive sync.WaitGroup
	living, die := context.WithCancel(context.WithoutCancel(ctx))
	defer die()
	if vital != nil {
		alive.Go(func() {
			defer end()
			run(living, vital)
		})
	}
	for _, loop := range loops {
		group.Go(func() { run(background, loop) })
	}
	log.Info().Stringer("listen", s.listen.Addr()).Stringer("ops", s.listen.OpsAddr()).
		Str("issuer", s.app.Settings.Issuer).Str("database", store.Dialect()).Msg("serving")
	s.notify("READY=1")
	stopping := context.AfterFunc(ctx, func() { s.notify("STOPPING=1") })
	defer stopping()
	err := s.listen.Wait(ctx)
	stop()
	group.Wait()
	die()
	alive.Wait()
	close(failed)
	for failure := range failed {
		err = errors.Join(err, failure)
	}
	log.Info().Msg("stopped")
	return err
}

// notify sends a state to the service manager.
func (s *Server) notify(state string) {
	if s.app.Notify != nil {
		s.app.Notify(state)
	}
}

// watchdog gives signs of life until ctx ends. A process that is frozen gives none. An
// outage of the database is no reason for a restart.
func (s *Server) watchdog(ctx context.Context) error {
	if s.app.Watchdog <= 0 {
		return nil
	}
	ticker := time.NewTicker(s.app.Watchdog)
	defer ticker.Stop()
	for {
		s.notify("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Server) noteChange() { note(s.changed) }

func (s *Server) noteCrowd() { note(s.crowded) }

func note(happened chan<- struct{}) {
	select {
	case happened <- struct{}{}:
	default:
	}
}

// notifyReplicas notifies the other replicas when this one has more work than it has
// room for, a few times a second at most. Without the notification they find the
// work within a second.
func (s *Server) notifyReplicas(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.crowded:
		}
		if err := s.app.Store.NotifyOthers(ctx); err != nil && ctx.Err() == nil {
			s.app.Logger.Debug().Err(err).Msg("notification of other replicas failed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(notifyPause):
		}
	}
}

// reloadKeys loads the signing keys that others create or revoke, and announces
// the successors that are due.
func (s *Server) reloadKeys(ctx context.Context) error {
	log := s.app.Logger
	ticker := time.NewTicker(reloadKeysEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.changed:
		}
		if err := within(ctx, s.app.Ring.Reload); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("reload of signing keys failed")
		} else if err := within(ctx, s.maintainKeys); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("rotation of signing keys failed")
		}
		select { // so that many changes in a row cost few reloads
		case <-ctx.Done():
			return nil
		case <-time.After(reloadKeysPause):
		}
	}
}

// maintainKeys announces the successors that are due, for the algorithms of the
// server and of its clients, and records each.
func (s *Server) maintainKeys(ctx context.Context) error {
	a := s.app
	algs, err := a.Store.ClientSigningAlgs(ctx)
	if err != nil {
		return err
	}
	announced, err := a.Ring.Maintain(ctx, algs...)
	for _, k := range announced {
		s.events.Record(ctx, storage.AuditEvent{
			Time: a.Now().UTC(), Action: "signingkey.announced", Outcome: "success", Object: "SigningKey/" + k.KID,
		})
		a.Logger.Info().Str("kid", k.KID).Str("alg", k.Alg).Time("activates_at", k.ActivatesAt).Msg("signing key announced")
	}
	return err
}

// within limits the time of a piece of background work, so that a frozen
// connection does not stop its loop for good.
func within(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	return work(ctx)
}
