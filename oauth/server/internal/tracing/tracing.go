// Package tracing makes OpenTelemetry spans of requests, named statements and delivery
// attempts, and exports them by OTLP over HTTP. The standard environment variables
// (OTEL_…) configure it; without an endpoint it does nothing. No span contains an argument
// of a statement, a parameter of a request or any other value that a caller chose.
package tracing

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "latchkey"

// traceparent is the header of W3C Trace Context.
const traceparent = "Traceparent"

// Tracer makes spans. A nil Tracer makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
	database attribute.KeyValue
}

// New returns a Tracer, or nil if the environment names no endpoint or disables traces.
// Parameters: the version of the program; the kind of database, "sqlite" or "postgres"; a
// logger for failed exports. The caller calls Close.
func New(ctx context.Context, version, database string, log zerolog.Logger) (*Tracer, error) {
	if !wanted(os.Getenv) {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "latchkey"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(err, exporter.Shutdown(ctx))
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn().Err(err).Msg("traces could not be exported") }))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope), database: attribute.String("db.system.name", systemName(database))}, nil
}

// wanted reports whether the environment asks for traces.
func wanted(variable func(string) string) bool {
	endpoint := variable("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	return endpoint && !strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true") && variable("OTEL_TRACES_EXPORTER") != "none"
}

// systemName returns the name of the database in the semantic conventions.
func systemName(database string) string {
	if database == "postgres" {
		return "postgresql"
	}
	return database
}

// Close exports the spans that are left.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Request begins the span of a request, as a part of the trace that the caller names in
// traceparent. It returns the context of the span, and an id of the request that contains
// the span: the caller stores it with what the request causes. end takes the route, such
// as "POST /oauth/token", and the status.
func (t *Tracer) Request(ctx context.Context, method string, header http.Header) (_ context.Context, id string, end func(route string, status int)) {
	ctx = t.context.Extract(ctx, propagation.HeaderCarrier(header))
	ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer))
	end = func(route string, status int) {
		path := route[strings.IndexByte(route, ' ')+1:] // a route may begin with its method
		span.SetName(method + " " + path)
		span.SetAttributes(attribute.String("http.request.method", method),
			attribute.String("http.route", path), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError || status == 0 {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
	return ctx, t.parent(ctx), end
}

// parent returns the traceparent of the span of ctx.
func (t *Tracer) parent(ctx context.Context) string {
	header := http.Header{}
	t.context.Inject(ctx, propagation.HeaderCarrier(header))
	return header.Get(traceparent)
}

// Statement makes the span of a named statement that a request or an attempt has executed.
// Statements of other work have none.
func (t *Tracer) Statement(ctx context.Context, name string, began, ended time.Time, err error) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(began),
		trace.WithAttributes(t.database, attribute.String("db.operation.name", name)))
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(ended))
}

// Attempt begins the span of an attempt to deliver a message. id is what Request returned
// for the request that caused the message; another id is of a request without a span. The
// span belongs to the trace of that request, and is linked to it.
func (t *Tracer) Attempt(ctx context.Context, id, sender, message string, number int) (_ context.Context, end func(result string)) {
	cause := t.context.Extract(context.Background(), propagation.HeaderCarrier(http.Header{traceparent: {id}}))
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("latchkey.sender", sender), attribute.String("latchkey.message", message), attribute.Int("latchkey.attempt", number))}
	if of := trace.SpanContextFromContext(cause); of.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, of)
		options = append(options, trace.WithLinks(trace.Link{SpanContext: of}))
	} else {
		options = append(options, trace.WithNewRoot())
	}
	ctx, span := t.tracer.Start(ctx, "deliver message", options...)
	return ctx, func(result string) {
		span.SetAttributes(attribute.String("latchkey.result", result))
		if result != "delivered" {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Inject sets traceparent in the header of a request that the span of ctx sends.
func (t *Tracer) Inject(ctx context.Context, header http.Header) {
	t.context.Inject(ctx, propagation.HeaderCarrier(header))
}

// Hook adds the member trace_id to log lines that have the context of a span.
func (t *Tracer) Hook() zerolog.Hook {
	return zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		if of := trace.SpanContextFromContext(e.GetCtx()); of.HasTraceID() {
			e.Str("trace_id", of.TraceID().String())
		}
	})
}
