package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

// A bearer is SASL's OAUTHBEARER (RFC 7628; KIP-255): whoever shows a token that the broker believes is let in. kafka-go
// authenticates a connection once, when it is made. A broker with connections.max.reauth.ms (KIP-368) closes one whose time
// is over when the next request comes by it; that request is sent again by a new connection, with a new token.
type bearer struct {
	tokens     *tokens
	extensions string // as they stand in a response (KIP-342); empty for none
}

// Name implements sasl.Mechanism.
func (b bearer) Name() string { return "OAUTHBEARER" }

// Start implements sasl.Mechanism.
func (b bearer) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	t, err := b.tokens.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	return showing{b.tokens}, []byte("n,,\x01auth=Bearer " + t + b.extensions + "\x01\x01"), nil
}

// showing is the rest of the exchange.
type showing struct{ tokens *tokens }

// Next implements sasl.StateMachine. A broker that believes the token says nothing; one that does not says why, and ends
// the exchange once it has been answered (RFC 7628, 3.2.3).
func (s showing) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	s.tokens.forget()
	return false, []byte{1}, nil
}

// A token is one that was fetched.
type token struct {
	text  string
	until time.Time // when it ends; zero where that is not known
}

// tokens keeps a token for as long as it is good, because every connection to every broker shows one.
type tokens struct {
	key   string // of the configuration, to look at when there is none
	fetch func(context.Context) (token, error)

	mu   sync.Mutex // guards kept; also while one is fetched, so that connections made together fetch one
	kept string
	good time.Time // until then kept is shown
}

// fetching bounds how long a token may take.
const fetching = 10 * time.Second

// get returns a token whose time is not over for long.
func (s *tokens) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.good) {
		return s.kept, nil
	}
	bounded, cancel := context.WithTimeout(ctx, fetching)
	defer cancel()
	began := time.Now()
	t, err := s.fetch(bounded)
	switch {
	case err != nil:
	case !legalToken(t.text):
		err = fmt.Errorf("what it gives is no token")
	case !t.until.IsZero() && !t.until.After(began):
		err = fmt.Errorf("the token that it gives ended on %s", t.until.UTC().Format(time.DateTime))
	}
	if err != nil {
		return "", &tokenError{s.key, err}
	}
	if t.until.IsZero() {
		t.until = expiry(t.text)
	}
	s.kept, s.good = t.text, time.Time{}
	if life := t.until.Sub(began); life > 0 {
		s.good = began.Add(life * 4 / 5) // the rest is for clocks that differ and for connections that live on
	}
	return t.text, nil
}

// forget drops a token that was refused.
func (s *tokens) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good = time.Time{}
}

// A tokenError says that there is no token to show.
type tokenError struct {
	key   string
	cause error
}

func (e *tokenError) Error() string { return "get a token: " + e.cause.Error() }
func (e *tokenError) Unwrap() error { return e.cause }

// Mend is what publish.Mend says.
func (e *tokenError) Mend() string { return "look at " + e.key }

// extensionsOf writes them as they follow a token, the names in order. Where one is not legal (kvpair of RFC 7628;
// OAuthBearerClientInitialResponse.java, which wants a value) it returns its name, and false.
func extensionsOf(all map[string]string) (string, bool) {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		letters := strings.IndexFunc(name, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') }) < 0
		printed := strings.IndexFunc(all[name], func(r rune) bool { return r < ' ' || r > '~' }) < 0
		if name == "" || name == "auth" || all[name] == "" || !letters || !printed {
			return name, false
		}
		text += "\x01" + name + "=" + all[name]
	}
	return text, true
}

// legalToken is RFC 6750's b64token.
func legalToken(text string) bool {
	const also = "-._~+/="
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(also, r))
	}) < 0
}

// expiry is the end of a JSON Web Token (exp of RFC 7519), zero for any other, and for one that does not say.
func expiry(text string) time.Time {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expiry <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}
