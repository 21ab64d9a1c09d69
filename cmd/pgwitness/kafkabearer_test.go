package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgwitness/publish"
)

// webToken is a JSON Web Token as far as anybody looks who does not check it.
func webToken(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// A token is shown for four fifths of its life, and not after a broker has refused it.
func TestTokenIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		give    func(n int) token
		fetched []int // after 0, 79, 81 and 170 s
	}{
		"its life is told": {func(n int) token { return token{fmt.Sprintf("t%d", n), time.Now().Add(100 * time.Second)} }, []int{1, 1, 2, 3}},
		"it tells it itself": {func(int) token {
			return token{text: webToken(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(100*time.Second).Unix()))}
		}, []int{1, 1, 2, 3}},
		"nobody knows": {func(n int) token { return token{text: fmt.Sprintf("t%d", n)} }, []int{1, 2, 3, 4}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			s := &tokens{fetch: func(context.Context) (token, error) { n++; return test.give(n), nil }}
			last := 0
			for i, at := range []int{0, 79, 81, 170} {
				time.Sleep(time.Duration(at-last) * time.Second)
				last = at
				if _, err := s.get(t.Context()); err != nil || n != test.fetched[i] {
					t.Errorf("%s: after %d s %d are fetched, want %d (%v)", name, at, n, test.fetched[i], err)
				}
			}
			if done, answer, err := (showing{s}).Next(t.Context(), []byte(`{"status":"invalid_token"}`)); done || string(answer) != "\x01" || err != nil {
				t.Errorf("%s: a refusal is answered by %v %q %v", name, done, answer, err)
			}
			before := n
			if s.get(t.Context()); n != before+1 {
				t.Errorf("%s: a refused token is shown again", name)
			}
		})
	}
}

// What is no token is not sent, and who asks is told which key to look at.
func TestNoToken(t *testing.T) {
	for name, fetch := range map[string]func(context.Context) (token, error){
		"an error":     func(context.Context) (token, error) { return token{}, errors.New("away") },
		"nothing":      func(context.Context) (token, error) { return token{}, nil },
		"two lines":    func(context.Context) (token, error) { return token{text: "a\nb"}, nil },
		"a control":    func(context.Context) (token, error) { return token{text: "a\x01auth=b"}, nil },
		"an old token": func(context.Context) (token, error) { return token{"a", time.Now().Add(-time.Second)}, nil },
	} {
		_, first, err := bearer{tokens: &tokens{key: "the key", fetch: fetch}}.Start(t.Context())
		if err == nil || first != nil || publish.Mend(fmt.Errorf("dial: %w", err)) != "look at the key" {
			t.Errorf("%s: %q, %v", name, first, err)
		}
	}
	fetch := func(context.Context) (token, error) { return token{text: "abc"}, nil }
	for _, extensions := range []map[string]string{nil, {"identityPoolId": "pool-1", "logicalCluster": "lkc 1"}} {
		text, ok := extensionsOf(extensions)
		_, first, err := bearer{&tokens{fetch: fetch}, text}.Start(t.Context())
		want := "n,,\x01auth=Bearer abc\x01\x01"
		if extensions != nil {
			want = "n,,\x01auth=Bearer abc\x01identityPoolId=pool-1\x01logicalCluster=lkc 1\x01\x01"
		}
		if err != nil || !ok || string(first) != want {
			t.Errorf("%q, %v, %v; want %q", first, ok, err, want)
		}
	}
}

// The endpoint is asked as RFC 6749 has it, and nobody else is told the secret.
func TestTokenEndpoint(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s&cret+/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the secret went elsewhere") }))
	defer thief.Close()
	var status int
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, password, _ := r.BasicAuth()
		err := r.ParseForm()
		if got := fmt.Sprint(r.Method, id, password, r.PostForm, err); got != fmt.Sprint("POST", "my+client", url.QueryEscape("s&cret+/"), url.Values{"grant_type": {"client_credentials"}, "scope": {"kafka read"}}, nil) {
			t.Errorf("asked: %s", got)
		}
		w.Header().Set("Location", thief.URL)
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	c := defaultConfig()
	c.Kafka.SASL.OAuth = oauthConfig{TokenURL: server.URL, ClientID: "my client", ClientSecretFile: secret, Scope: "kafka read"}
	for _, test := range []struct {
		status       int
		answer, says string
	}{
		{200, `{"access_token":"abc","token_type":"Bearer","expires_in":60}`, ""},
		{200, `{"access_token":"abc","token_type":"mac"}`, `type "mac"`},
		{200, `<html>`, "RFC 6749"},
		{401, `{"error":"invalid_client"}`, "401 Unauthorized invalid_client"},
		{307, ``, "307"},
	} {
		status, answer = test.status, test.answer
		got, err := c.endpointToken(t.Context())
		if test.says == "" {
			if life := time.Until(got.until); err != nil || got.text != "abc" || life < 50*time.Second || life > time.Minute {
				t.Errorf("%v, %v", got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "s&cret") {
			t.Errorf("%d %s: %v", test.status, test.answer, err)
		}
	}
}

// What cannot work is told before anything is touched.
func TestTokenSettings(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		says string
		sasl saslConfig
	}{
		{"", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go", "version"}}}},
		{"", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenURL: "https://id/token", ClientID: "c", ClientSecretFile: secret}}},
		{"", saslConfig{Mechanism: "aws-msk-iam", Region: "eu-central-1"}},
		{"kafka.sasl.region", saslConfig{Mechanism: "aws-msk-iam"}},
		{"needs one of", saslConfig{Mechanism: "oauthbearer"}},
		{"needs one of", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go"}, TokenURL: "https://id"}}},
		{"no-such-program", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"no-such-program"}}}},
		{"client_secret_file", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenURL: "https://id", ClientID: "c"}}},
		{"no such file", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenURL: "https://id", ClientID: "c", ClientSecretFile: secret + "2"}}},
		{"not auth", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go"}, Extensions: map[string]string{"auth": "x"}}}},
		{"a-b", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go"}, Extensions: map[string]string{"a-b": "x"}}}},
		{"not auth", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go"}, Extensions: map[string]string{"": "x"}}}},
		{"printable", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenCommand: []string{"go"}, Extensions: map[string]string{"a": "x\x01auth=y"}}}},
		{"https", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenURL: "http://id.example/token", ClientID: "c", ClientSecretFile: secret}}},
		{"https", saslConfig{Mechanism: "oauthbearer", OAuth: oauthConfig{TokenURL: "https://user:pw@id/token", ClientID: "c", ClientSecretFile: secret}}},
	} {
		c := defaultConfig()
		c.Kafka.TLS.Enabled, c.Kafka.SASL = true, test.sasl
		_, err := c.brokerSASL()
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v, want %q", test.sasl, err, test.says)
		}
		c.Kafka.TLS.Enabled = false
		if _, err := c.brokerSASL(); err == nil || !strings.Contains(err.Error(), "kafka.tls.enabled") {
			t.Errorf("%s without TLS: %v", test.sasl.Mechanism, err)
		}
	}
}

// MSK takes the address of a call to itself, signed, as a token (aws-msk-iam-sasl-signer-go's DESIGN.md).
func TestAWSToken(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	got, err := awsToken(t.Context(), "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(got.text)
	if err != nil || !legalToken(got.text) {
		t.Fatalf("%q: %v", got.text, err)
	}
	u, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Host != "kafka.eu-central-1.amazonaws.com" || q.Get("Action") != "kafka-cluster:Connect" || q.Get("X-Amz-Signature") == "" ||
		!strings.HasPrefix(q.Get("X-Amz-Credential"), "AKIDEXAMPLE/") || strings.Contains(string(text), "wJalrXUtnFEMI") {
		t.Errorf("signed: %s", text)
	}
	if life := time.Until(got.until); life < 10*time.Minute || life > 15*time.Minute {
		t.Errorf("it lives for %s", life)
	}
}
