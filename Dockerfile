# Valid for the classic builder and for BuildKit.
ARG RUST=rust:1.95-slim-trixie
ARG BASE=debian:trixie-slim

FROM ${RUST} AS build
# OpenSSL, for ssh, is built from source.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies are a layer of their own: only a change of the lock file builds them again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/table \
 && echo 'fn main() {}' | tee src/main.rs benches/parts.rs >benches/table/main.rs \
 && touch src/lib.rs \
 && cargo build --release --locked \
 && rm -r src
COPY src src
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked \
 && cp target/release/tender /tender

FROM ${BASE}
# docker-compose is the Compose v2 program, which deploys run; it needs no docker program. Git work
# is done by a library. A stack whose own scripts call git, docker or ssh asks for them here.
ARG EXTRA_PACKAGES=""
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates docker-compose tini ${EXTRA_PACKAGES} \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /tender /usr/local/bin/tender
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tender" \
      org.opencontainers.image.description="A containerized scheduler sidecar for docker-compose stacks" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["tini", "--", "tender"]
CMD ["serve"]
