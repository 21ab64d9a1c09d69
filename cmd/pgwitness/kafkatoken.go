package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
)

// oauthKeys are where kafka.sasl.oauth stands.
const oauthKeys = "kafka.sasl.oauth"

// brokerTokens says where the tokens for brokers come from.
func (c *config) brokerTokens() (*tokens, error) {
	if c.Kafka.SASL.Mechanism == "aws-msk-iam" {
		region := c.Kafka.SASL.Region
		if region == "" {
			return nil, usagef("kafka.sasl.mechanism aws-msk-iam needs kafka.sasl.region")
		}
		return &tokens{key: "the AWS credentials of this process, and at kafka.sasl.region", fetch: func(ctx context.Context) (token, error) {
			return awsToken(ctx, region)
		}}, nil
	}
	o := c.Kafka.SASL.OAuth
	byCommand, byURL := len(o.TokenCommand) > 0, o.TokenURL != ""
	switch {
	case byCommand == byURL:
		return nil, usagef("kafka.sasl.mechanism oauthbearer needs one of %s.token_command and %s.token_url", oauthKeys, oauthKeys)
	case byCommand:
		if _, err := exec.LookPath(o.TokenCommand[0]); err != nil {
			return nil, c.refuse(oauthKeys+".token_command", o.TokenCommand[0], "a program that can be run, and its arguments")
		}
		return &tokens{key: oauthKeys + ".token_command", fetch: func(ctx context.Context) (token, error) {
			return commandToken(ctx, o.TokenCommand)
		}}, nil
	case !legalTokenURL(o.TokenURL):
		return nil, c.refuse(oauthKeys+".token_url", o.TokenURL, "an https address, or http on this machine")
	case o.ClientID == "" || o.ClientSecretFile == "":
		return nil, usagef("%s.token_url needs %s.client_id and %s.client_secret_file", oauthKeys, oauthKeys, oauthKeys)
	}
	if _, err := c.secretFile(oauthKeys+".client_secret_file", o.ClientSecretFile); err != nil {
		return nil, err
	}
	return &tokens{key: oauthKeys + ".token_url, client_id and client_secret_file", fetch: c.endpointToken}, nil
}

// legalTokenURL keeps the secret from being sent in clear.
func legalTokenURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// commandToken runs a program, without a shell, that prints a token. What it says on its standard error goes to ours.
func commandToken(ctx context.Context, argv []string) (token, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second // its children may hold the pipe
	out, err := cmd.Output()
	if err != nil {
		return token{}, fmt.Errorf("%s: %w", argv[0], err)
	}
	return token{text: string(bytes.TrimSpace(out))}, nil
}

// endpointToken asks an authorization server by client credentials (RFC 6749, 4.4), who we are by HTTP Basic (2.3.1).
func (c *config) endpointToken(ctx context.Context) (token, error) {
	o := c.Kafka.SASL.OAuth
	secret, err := c.secretFile(oauthKeys+".client_secret_file", o.ClientSecretFile)
	if err != nil {
		return token{}, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if o.Scope != "" {
		form.Set("scope", o.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(strings.TrimRight(secret, "\r\n")))
	// A redirect would take the secret to somebody else.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return token{}, err
	}
	defer res.Body.Close()
	var answer struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"` // seconds
		Error   string  `json:"error"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer)
	switch {
	case res.StatusCode != http.StatusOK:
		return token{}, fmt.Errorf("%s answers %s %s", req.URL.Host, res.Status, printable(answer.Error))
	case err != nil:
		return token{}, fmt.Errorf("%s answers in no form of RFC 6749: %w", req.URL.Host, err)
	case !strings.EqualFold(answer.Type, "bearer"):
		return token{}, fmt.Errorf("%s gives a token of type %q, not bearer", req.URL.Host, answer.Type)
	}
	t := token{text: answer.Token}
	if answer.Expires > 0 {
		t.until = began.Add(time.Duration(answer.Expires * float64(time.Second)))
	}
	return t, nil
}

// awsToken signs one for Amazon MSK, with the credentials that AWS's own library finds: the environment, a profile, a web
// identity, the container's or the machine's role.
func awsToken(ctx context.Context, region string) (token, error) {
	text, millis, err := signer.GenerateAuthToken(ctx, region)
	if err != nil {
		return token{}, err
	}
	return token{text, time.UnixMilli(millis)}, nil
}
