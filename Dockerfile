# A static binary and the certificates of the public authorities, nothing else. Runs as nobody, and writes nothing: the root
# can be read-only. docker buildx build --platform linux/amd64,linux/arm64 compiles both on this machine's processor.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /pgwitness ./cmd/pgwitness

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /pgwitness /pgwitness
USER 65534:65534
ENTRYPOINT ["/pgwitness"]
CMD ["run"]
