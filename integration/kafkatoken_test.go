//go:build integration

package integration

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgwitness/integration/certificates"
	"pgwitness/integration/product"
	"pgwitness/integration/servers"
)

// An issuer is an authorization server: it gives tokens to client pgwitness, and brokers its keys.
type issuer struct {
	*httptest.Server
	key    *rsa.PrivateKey
	life   time.Duration
	closed atomic.Bool // it refuses everybody
	given  atomic.Int64
}

const clientSecret = "client-secret"

func newIssuer(t *testing.T, life time.Duration) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, life: life}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		text := base64.RawURLEncoding.EncodeToString
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256",
			"n": text(key.N.Bytes()), "e": "AQAB", // 65537, as rsa.GenerateKey has it
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "pgwitness" || secret != clientSecret || i.closed.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		i.given.Add(1)
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, i.token(t, i.key, i.life), int(i.life.Seconds()))
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// token signs one for pgwitness.
func (i *issuer) token(t *testing.T, key *rsa.PrivateKey, life time.Duration) string {
	text := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	signed := text([]byte(`{"alg":"RS256","kid":"1"}`)) + "." +
		text(fmt.Appendf(nil, `{"sub":"pgwitness","iat":%d,"exp":%d}`, now.Unix(), now.Add(life).Unix()))
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Error(err)
	}
	return signed + "." + text(signature)
}

// newTokenSecured is newSecured with a broker that believes the issuer's tokens, and a connection for three seconds.
func newTokenSecured(t *testing.T, i *issuer) *secured {
	t.Helper()
	a := certificates.NewAuthority(t)
	const on, handler = "listener.name.sasl.", "org.apache.kafka.common.security.oauthbearer."
	k := servers.StartSecureKafka(t, a, a.Issue(t, "broker", time.Hour), nil,
		"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="+i.URL+"/keys",
		on+"sasl.enabled.mechanisms=OAUTHBEARER",
		on+"oauthbearer.sasl.jaas.config="+handler+"OAuthBearerLoginModule required;",
		on+"oauthbearer.sasl.server.callback.handler.class="+handler+"OAuthBearerValidatorCallbackHandler",
		on+"oauthbearer.connections.max.reauth.ms=3000",
		"sasl.oauthbearer.jwks.endpoint.url="+i.URL+"/keys", "sasl.oauthbearer.clock.skew.seconds=1")
	s := &secured{trail: newTrailOn(t, servers.SharedPostgres(t, 18), k.Kafka), kafka: k, authority: a, password: filepath.Join(t.TempDir(), "password")}
	s.Exec(t, "create table t (id int primary key)")
	s.setup(t, "public.*")
	for _, command := range s.documented(t) {
		k.ACLs(t, command...)
	}
	return s
}

// byClient is the environment of a command that gets tokens from the issuer.
func (s *secured) byClient(t *testing.T, i *issuer, secret string) []string {
	return append(s.through(t, "oauthbearer", secret), "PGWITNESS_KAFKA_SASL_OAUTH_TOKEN_URL="+i.URL+"/token",
		"PGWITNESS_KAFKA_SASL_OAUTH_CLIENT_ID=pgwitness", "PGWITNESS_KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE="+s.password)
}

// byCommand is that of one that runs a program for them.
func (s *secured) byCommand(t *testing.T, argv string) []string {
	return append(s.through(t, "oauthbearer", ""), "PGWITNESS_KAFKA_SASL_OAUTH_TOKEN_COMMAND="+argv,
		"PGWITNESS_KAFKA_SASL_OAUTH_EXTENSIONS=logicalCluster=lkc-1,identityPoolId=pool-1")
}

// TestKafkaTokens: tokens from an authorization server and from a program let us in; what is wrong is told with the key to
// mend.
func TestKafkaTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, time.Minute)
	s := newTokenSecured(t, i)
	s.insert(t, 1, 1)
	s.carries(t, "client credentials", s.byClient(t, i, clientSecret))
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(i.token(t, i.key, time.Minute))
	s.insert(t, 2, 2)
	s.carries(t, "a command", s.byCommand(t, "cat,"+file))
	s.expectOnce(t, inserts(1, 2))
	if r := product.Run(t, time.Minute, s.byClient(t, i, clientSecret), "check"); r.Code != 0 {
		t.Errorf("check: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, token string
		environment []string
		says        string
	}{
		{"a wrong secret", "", s.byClient(t, i, "wrong"), "kafka.sasl.oauth.token_url, client_id and client_secret_file"},
		{"a program that fails", "", s.byCommand(t, "false"), "kafka.sasl.oauth.token_command"},
		{"a forged token", i.token(t, stranger, time.Minute), s.byCommand(t, "cat,"+file), "kafka.sasl.oauth"},
		{"an old token", i.token(t, i.key, -time.Minute), s.byCommand(t, "cat,"+file), "kafka.sasl.oauth"},
	} {
		write(test.token)
		r := product.Run(t, time.Minute, test.environment, "run")
		last := lastLine(r.Stderr)
		if r.Code == 0 || !strings.Contains(last, test.says) {
			t.Errorf("%s: exit code %d: %s", test.name, r.Code, last)
		}
		for _, secret := range []string{clientSecret, test.token} {
			if secret != "" && strings.Contains(r.Stderr, secret) {
				t.Errorf("%s: the log has a secret", test.name)
			}
		}
	}
}

// TestKafkaTokenEnds: brokers close each connection after three seconds, tokens end after eight, and for a while there are
// none: in one process and one session, everything arrives once.
func TestKafkaTokenEnds(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, 8*time.Second)
	s := newTokenSecured(t, i)
	run := product.Start(t, s.byClient(t, i, clientSecret), "run", "--listen", "127.0.0.1:0")
	s.insert(t, 1, 1)
	s.awaitConfirmedBy(t, run.Running, time.Minute)
	n := 1
	load := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			n++
			s.insert(t, n, n)
		}
	}
	load(15 * time.Second)
	s.awaitConfirmedBy(t, run.Running, time.Minute)
	if given := i.given.Load(); given < 2 || given > 6 {
		t.Errorf("%d tokens in 15 seconds, each good for 8", given)
	}
	if retries := metricsOf(t, run)["batch_retries_total"]; retries < 2 {
		t.Errorf("%v batches were sent again: has no broker closed a connection?", retries)
	}

	i.closed.Store(true)
	load(12 * time.Second)
	awaitLog(t, run, "invalid_client")
	i.closed.Store(false)
	load(time.Second)
	s.awaitConfirmedBy(t, run.Running, time.Minute)
	if sessions := metricsOf(t, run)["sessions_total"]; sessions != 1 {
		t.Errorf("%v sessions", sessions)
	}
	if r := run.Stop(t, 10*time.Second); r.Code != 0 || strings.Contains(r.Stderr, clientSecret) {
		t.Errorf("SIGTERM: exit code %d\n%s", r.Code, r.Stderr)
	}
	var all []int
	for id := range n {
		all = append(all, id+1)
	}
	s.expectOnce(t, inserts(all...))
}
