//go:build browser

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"latchkey/oauth/console"
	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestBrowser uses the console in Chromium, driven by playwright-core, on one server with
// SQLite and on two with PostgreSQL. axe-core inspects every screen. "make browser" runs
// it. SCREENSHOTS names a directory for pictures of all screens; ONLY chooses scenarios by
// a part of their names.
func TestBrowser(t *testing.T) {
	scripts := t.TempDir()
	if err := os.CopyFS(scripts, os.DirFS("browser")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = scripts
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	t.Run("databases", func(t *testing.T) {
		kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
			servers := 1
			if strings.HasPrefix(w.DatabaseURL, "postgres") {
				servers = 2
			}
			s := newReplicas(t, w, servers)
			s.fill()
			s.drive(scripts)
		})
	})
}

// newReplicas starts servers behind a proxy that takes them in turn.
func newReplicas(t *testing.T, w *kit.Fixture, servers int) *site {
	t.Helper()
	var targets []*url.URL
	var turn atomic.Uint64
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(targets[turn.Add(1)%uint64(len(targets))])
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(front.Close)
	s := newSite(t, w, "LATCHKEY_ISSUER="+front.URL, "LATCHKEY_OTP_LIMIT_RECIPIENT=0")
	for n := s.Server; ; n = w.Serve("LATCHKEY_ISSUER="+front.URL, "LATCHKEY_OTP_LIMIT_RECIPIENT=0") {
		target, err := url.Parse(n.URL)
		s.must(err)
		if targets = append(targets, target); len(targets) == servers {
			break
		}
	}
	s.Server = &kit.Server{T: t, URL: front.URL}
	return s
}

// fill stores what the screens show.
func (s *site) fill() {
	s.t.Helper()
	hash, err := kit.PasswordHash()
	s.must(err)
	s.Apply(strings.ReplaceAll(`
ApiClients:
  - {ID: web, AppName: Web shop, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["https://shop.example/callback"]}
  - {ID: old-kiosk, AppName: Old kiosk, Active: false, AccessTokenDuration: 60, AllowAnyBuyer: true, GrantTypes: [password], AllowedCredentials: [otp]}
Suppliers:
  - ID: mill
    Name: Mill and Sons
    Active: true
    Users:
      - {ID: mia, Username: mia, PasswordHash: 'HASH', FirstName: Mia, LastName: Miller, Email: mia@example.com, Active: true}
SecurityProfiles:
  - {ID: mill, Name: Mill, Roles: [SupplierUserAdmin], CustomRoles: [OneTimePasswordAdmin], Assignments: [{SupplierID: mill, UserID: mia}]}
  - {ID: support, Name: Support, CustomRoles: [OneTimePasswordAdmin], Assignments: [{BuyerID: acme, UserID: bob}]}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword], URL: "`+s.Inbox.URL+`/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true, Assignments: [{}]}
  - {ID: signed, Name: Signed calls, MessageTypes: [ForgottenPassword], URL: "https://receiver.example/{messagetype}", Signature: standard-webhooks, AllowAllBuyers: true,
     SigningSecrets: [whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=, whsec_YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=]}
  - {ID: mail, Name: Mail, Kind: smtp, MessageTypes: [NewUserInvitation], SMTP: {Host: smtp.example.com, From: shop@example.com, TLS: required, SiteName: shop.example}, AllowAllBuyers: true}
`, "HASH", hash))
	for _, username := range []string{"jane", "mia", "root"} {
		s.consent(username)
	}
}

// drive runs the scenarios.
func (s *site) drive(scripts string) {
	s.t.Helper()
	chromium, err := exec.LookPath("chromium")
	s.must(err)
	screenshots, screens := os.Getenv("SCREENSHOTS"), map[string]seenScreen{}
	if strings.HasPrefix(s.DatabaseURL, "postgres") {
		screenshots = "" // the pages are the same
	} else {
		screens = s.screens()
	}
	if screenshots != "" {
		screenshots, err = filepath.Abs(screenshots)
		s.must(err)
		s.must(os.MkdirAll(screenshots, 0o755))
	}
	stage, err := json.Marshal(map[string]any{
		"server": s.Server.URL, "control": s.control(), "password": kit.Password, "chromium": chromium, "screenshots": screenshots,
		"screens": screens, "only": os.Getenv("ONLY"),
	})
	s.must(err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "run.mjs")
	cmd.Dir = scripts
	cmd.Env = append(os.Environ(), "STAGE="+string(stage))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	s.t.Logf("%s", out)
	if screenshots != "" {
		s.must(errors.Join(shrinkAll(screenshots), writeGallery(screenshots)))
	}
}

// writeGallery writes a page with all pictures in a directory.
func writeGallery(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil {
		return err
	}
	page := "# All screens of the console\n\n`make screenshots` makes these pictures. [The console](../CONSOLE.md) says what they do. The screens for\n" +
		"admin users and for users of suppliers are like those for users of buyers.\n"
	for _, name := range names {
		file := filepath.Base(name)
		title := strings.ReplaceAll(strings.TrimSuffix(file, ".png"), "-", " ")
		page += "\n## " + title + "\n\n![" + title + "](" + file + ")\n"
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(page), 0o600)
}

// shrinkAll gives the pictures in a directory a palette, which makes them a third as large.
func shrinkAll(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	for _, name := range names {
		if err == nil {
			err = shrink(name)
		}
	}
	return err
}

func shrink(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		return err
	}
	counts := map[color.Color]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			counts[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	palette := color.Palette(colors[:min(len(colors), 64)])
	nearest := map[color.Color]uint8{}
	for _, c := range colors {
		nearest[c] = uint8(palette.Index(c)) //nolint:gosec // a palette has 64 colours
	}
	small := image.NewPaletted(picture.Bounds(), palette)
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			small.SetColorIndex(x, y, nearest[color.RGBAModel.Convert(picture.At(x, y))])
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, small); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o600)
}

// control starts a server by which scenarios move the clock and get the next code that is
// sent to a user, and returns its URL.
func (s *site) control() string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /advance", func(w http.ResponseWriter, r *http.Request) {
		hours, err := strconv.Atoi(r.URL.Query().Get("hours"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Clock.Advance(time.Duration(hours) * time.Hour)
	})
	mux.HandleFunc("GET /receiver", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.URL.Query().Get("status"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Inbox.Status.Store(int64(status))
		_, _ = w.Write([]byte(s.Inbox.URL)) // the script fails without it
	})
	mux.HandleFunc("POST /gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("GET /code", func(w http.ResponseWriter, r *http.Request) {
		m := s.Inbox.Next(s.t)
		for m.EventBody.Username != r.URL.Query().Get("username") {
			m = s.Inbox.Next(s.t)
		}
		_, _ = w.Write([]byte(m.EventBody.OneTimePassword)) // the script fails without it
	})
	server := httptest.NewServer(mux)
	s.t.Cleanup(server.Close)
	return server.URL
}

// use does what leaves something for screens to show: sessions, consents and the replay of
// a proposal.
func (s *site) use() {
	s.t.Helper()
	for _, user := range []string{"mia", "bob"} {
		s.signIn(user)
	}
	root := s.signIn("root")
	s.sendTo(refusingReceiver(s.t))
	time.Sleep(time.Second) // until the servers have heard of the change
	for _, user := range []string{"jane", "bob"} {
		root.await("/console/home?find="+s.undelivered(user), "receiver answered 410")
	}
	s.sendTo(s.Inbox.URL)
	_, proposal := root.submit(root.open("/console/profiles/default/edit"), "f.AllowedFailedAttempts", "3").form()
	root.post("/console/profiles/default/replays", proposal)
	s.WithApp(func(ctx context.Context, a *server.App) error {
		for _, username := range []string{"root", "bob", "mia"} {
			login, err := a.Store.Login(ctx, storage.DefaultProfileID, username)
			if err != nil {
				return err
			}
			if err := a.Store.PutConsent(ctx, storage.Consent{UserUID: login.UserUID, ClientID: "web", Scope: []string{"openid"}, GrantedAt: a.Now().UTC()}); err != nil {
				return err
			}
		}
		return nil
	})
}

// seenScreen is a screen with a path below /console, and a user to whom a link leads to it.
type seenScreen struct {
	Path string `json:"path"`
	User string `json:"user"`
	size int    // of the page
}

// visitsOfScreen is how many paths of one screen are followed.
const visitsOfScreen = 8

// screens follows links, as root and as administrators of companies, to a path of each
// screen. The keys are made of the patterns. It fails the test if no link leads to a
// screen.
func (s *site) screens() map[string]seenScreen {
	s.t.Helper()
	mux := http.NewServeMux()
	for _, screen := range console.Screens() {
		mux.HandleFunc("GET "+console.Path+screen.Path, func(http.ResponseWriter, *http.Request) {})
	}
	s.use()
	found := map[string]seenScreen{}
	for user, start := range map[string]string{"root": "/console/home?find=jane", "bob": "/console/buyer-codes?find=jane", "mia": "/console/supplier-codes"} {
		s.follow(user, start, mux, found)
	}
	named := map[string]seenScreen{}
	for _, screen := range console.Screens() {
		at, ok := found["GET "+console.Path+screen.Path]
		if !ok && strings.HasPrefix(screen.Path, "/supplier-codes/codes/") {
			continue // like /buyer-codes/codes/; no client of the fixture serves suppliers
		}
		if !ok {
			s.t.Errorf("no link leads to the screen %s", screen.Path)
			continue
		}
		if at.Path == "" {
			continue
		}
		name := strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "", "+", "").Replace(screen.Path), "-")
		named[name] = at
	}
	return named
}

// follow adds the screens to which links lead a user, from a start and from the navigation.
func (s *site) follow(user, start string, mux *http.ServeMux, found map[string]seenScreen) {
	s.t.Helper()
	b := s.signIn(user)
	queue, seen, visits := append([]string{start}, b.open("/console/").navigation()...), map[string]bool{}, map[string]int{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		_, pattern := mux.Handler(httptest.NewRequest(http.MethodGet, path, nil))
		if pattern == "" || seen[path] || visits[pattern] >= visitsOfScreen {
			continue
		}
		seen[path] = true
		visits[pattern]++
		at := b.open(path)
		if at.status != http.StatusOK {
			s.t.Errorf("%s as %s: %d %s", path, user, at.status, at.text())
			continue
		}
		path = at.url.RequestURI() // the only result of a search leads to another screen
		if _, arrived := mux.Handler(httptest.NewRequest(http.MethodGet, path, nil)); arrived != pattern {
			if _, known := found[pattern]; !known {
				found[pattern] = seenScreen{} // it leads elsewhere
			}
			pattern = arrived
		}
		if !strings.HasPrefix(at.header.Get("Content-Type"), "text/html") {
			found[pattern] = seenScreen{} // a file
			continue
		}
		if found[pattern].size < len(at.body) { // the fullest page
			found[pattern] = seenScreen{strings.TrimPrefix(path, console.Path), user, len(at.body)}
		}
		for _, n := range find(at.root, func(n *html.Node) bool { return n.Data == "a" && inside(n, "main") }) {
			if link := attribute(n, "href"); strings.HasPrefix(link, console.Path+"/") {
				queue = append(queue, link)
			}
		}
	}
}
