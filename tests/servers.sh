#!/bin/sh
# Installs what some tests meet for real and no Python package brings: Redis, RabbitMQ, a browser, OpenSSL's clock,
# Prometheus, and a clock that can be wrong for one process (make chaos). Where that cannot be done (no Debian, not root)
# it says so, and those tests are skipped, each with its reason.
set -eu

missing=""
[ -x /usr/bin/redis-server ] || missing="$missing redis-server"
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
command -v openssl >/dev/null || missing="$missing openssl"
[ -e /usr/lib/*/faketime/libfaketimeMT.so.1 ] || missing="$missing libfaketime"
[ -x /usr/bin/prometheus ] || missing="$missing prometheus"
[ -x /usr/bin/prometheus-alertmanager ] || missing="$missing prometheus-alertmanager"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "· set-up: Debian's packages for tests:$missing"
    # RUNLEVEL=1: installed, not started; the tests start servers of their own.
    apt-get -qq update >/dev/null 2>&1 || true
    # shellcheck disable=SC2086
    if RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "  tests with these are skipped, for they are not here:$missing"
echo "  to run them too: sudo apt-get install$missing"
