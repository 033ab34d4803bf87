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
// it. The variable SCREENSHOTS names a directory for pictures of all screens. The variable ONLY
// selects scenarios by a part of their names.
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
			s.addResources()
			s.runScenarios(scripts)
		})
	})
}

// newReplicas starts servers behind a proxy that sends requests to them in turn.
func newReplicas(t *testing.T, w *kit.Fixture, servers int) *site {
	t.Helper()
	var targets []*url.URL
	var requests atomic.Uint64
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(targets[requests.Add(1)%uint64(len(targets))])
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

// addResources stores resources that the screens show.
func (s *site) addResources() {
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

// runScenarios runs the scenarios of the directory scripts in Chromium.
func (s *site) runScenarios(scripts string) {
	s.t.Helper()
	chromium, err := exec.LookPath("chromium")
	s.must(err)
	screenshots, screens := os.Getenv("SCREENSHOTS"), map[string]screenVisit{}
	if strings.HasPrefix(s.DatabaseURL, "postgres") {
		screenshots = "" // the pages look the same as with SQLite
	} else {
		screens = s.screens()
	}
	if screenshots != "" {
		screenshots, err = filepath.Abs(screenshots)
		s.must(err)
		s.must(os.MkdirAll(screenshots, 0o755))
	}
	input, err := json.Marshal(map[string]any{
		"server": s.Server.URL, "control": s.control(), "password": kit.Password, "chromium": chromium, "screenshots": screenshots,
		"screens": screens, "only": os.Getenv("ONLY"),
	})
	s.must(err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "run.mjs")
	cmd.Dir = scripts
	cmd.Env = append(os.Environ(), "INPUT="+string(input))
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

// shrinkAll reduces the pictures in a directory to a palette of 64 colours. Their files become a
// third as large.
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

// control starts an HTTP server for the scenarios, and returns its URL. Through it the scenarios
// advance the clock, set the status that the receiver of messages answers, and get the next code
// that is sent to a user.
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

// addActivity creates sessions, consents, undelivered codes and the replay of a proposal, so that
// the screens have something to show.
func (s *site) addActivity() {
	s.t.Helper()
	for _, user := range []string{"mia", "bob"} {
		s.signIn(user)
	}
	root := s.signIn("root")
	s.sendTo(refusingReceiver(s.t))
	time.Sleep(time.Second) // until the servers know the change
	for _, user := range []string{"jane", "bob"} {
		root.await("/console/home?find="+s.requestCode(user), "receiver answered 410")
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

// screenVisit is a path of a screen below /console, and a user who gets there by links.
type screenVisit struct {
	Path string `json:"path"`
	User string `json:"user"`
	size int    // of the page
}

// maxPathsOfScreen is how many paths of one screen follow opens.
const maxPathsOfScreen = 8

// screens finds a path of each screen by following links, as root and as administrators of
// companies. A key of the result is the pattern of a screen with "-" for "/". The test fails if no
// link leads to a screen.
func (s *site) screens() map[string]screenVisit {
	s.t.Helper()
	mux := http.NewServeMux()
	for _, screen := range console.Screens() {
		mux.HandleFunc("GET "+console.Path+screen.Path, func(http.ResponseWriter, *http.Request) {})
	}
	s.addActivity()
	found := map[string]screenVisit{}
	for user, start := range map[string]string{"root": "/console/home?find=jane", "bob": "/console/buyer-codes?find=jane", "mia": "/console/supplier-codes"} {
		s.follow(user, start, mux, found)
	}
	named := map[string]screenVisit{}
	for _, screen := range console.Screens() {
		at, ok := found["GET "+console.Path+screen.Path]
		if !ok && strings.HasPrefix(screen.Path, "/supplier-codes/codes/") {
			continue // like /buyer-codes/codes/; no client of the fixture serves suppliers
		}
		if !ok {
			s.t.Errorf("screen %s: got no link to it, want one", screen.Path)
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

// follow adds the screens to found that a user gets to by links. It begins at the path start and at
// the navigation.
func (s *site) follow(user, start string, mux *http.ServeMux, found map[string]screenVisit) {
	s.t.Helper()
	b := s.signIn(user)
	queue, seen, visits := append([]string{start}, b.open("/console/").navigation()...), map[string]bool{}, map[string]int{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		_, pattern := mux.Handler(httptest.NewRequest(http.MethodGet, path, nil))
		if pattern == "" || seen[path] || visits[pattern] >= maxPathsOfScreen {
			continue
		}
		seen[path] = true
		visits[pattern]++
		at := b.open(path)
		if at.status != http.StatusOK {
			s.t.Errorf("%s as %s: got %d %s, want 200", path, user, at.status, at.text())
			continue
		}
		path = at.url.RequestURI() // a search with one result redirects to it
		if _, arrived := mux.Handler(httptest.NewRequest(http.MethodGet, path, nil)); arrived != pattern {
			if _, known := found[pattern]; !known {
				found[pattern] = screenVisit{} // it redirects to another screen
			}
			pattern = arrived
		}
		if !strings.HasPrefix(at.header.Get("Content-Type"), "text/html") {
			found[pattern] = screenVisit{} // a file
			continue
		}
		if found[pattern].size < len(at.body) { // the fullest page
			found[pattern] = screenVisit{strings.TrimPrefix(path, console.Path), user, len(at.body)}
		}
		for _, n := range find(at.root, func(n *html.Node) bool { return n.Data == "a" && inside(n, "main") }) {
			if link := attribute(n, "href"); strings.HasPrefix(link, console.Path+"/") {
				queue = append(queue, link)
			}
		}
	}
}
