#!/usr/bin/env bash
# Try mxauth serve without touching a mail server or the network:  bash docs/try-serve.sh
#
# Starts the daemon against the demo's mail Internet, which runs in the same process on
# loopback, and asks it as Postfix does: by postmap -q over the socketmap protocol. Without
# postmap it asks by mxauth ask. Stops what it started, and says what it expected if an
# answer is another one.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
dir=$(mktemp -d)
daemon=
cleanup() {
  if [ -n "$daemon" ]; then kill "$daemon" 2> /dev/null || true; wait "$daemon" 2> /dev/null || true; fi
  rm -rf "$dir"
}
trap cleanup EXIT

go build -o "$dir/mxauth" ./cmd/mxauth
socket=$dir/postfix.sock control=$dir/control.sock

# The one command. A real daemon is: mxauth serve --listen socketmap=unix:PATH
"$dir/mxauth" demo --serve "socketmap=unix:$socket" --control "$control" 2> "$dir/log" &
daemon=$!
for _ in $(seq 300); do
  [ -S "$control" ] && "$dir/mxauth" status -q --control "$control" 2> /dev/null && break
  kill -0 "$daemon" 2> /dev/null || { cat "$dir/log"; exit 1; }
  sleep 0.1
done

if command -v postmap > /dev/null; then
  # postmap wants a configuration; an empty one will do.
  mkdir "$dir/postfix"
  : > "$dir/postfix/main.cf"
  ask() { postmap -c "$dir/postfix" -q "$2" "socketmap:unix:$socket:$1" 2>&1 || true; }
else
  echo "postmap is not installed: asking by mxauth ask"
  ask() {
    "$dir/mxauth" ask --control "$control" --map "$1" "$2" | sed -n '1s/^[^ ]* //p' |
      sed -E 's/^OK //; s/^NOTFOUND ?$//; s/^TEMP /temporary error: /' || true
  }
fi

failed=0
# expect MAP KEY PATTERN: the answer has to match the pattern of bash.
expect() {
  local answer
  answer=$(ask "$1" "$2")
  printf '%-16s %-22s %s\n' "$1" "$2" "${answer:-(no entry: the default of the mail server)}"
  # shellcheck disable=SC2053
  [[ $answer == $3 ]] || { echo "  expected: $3"; failed=1; }
}
expect QUERY dane-ee.test 'dane-only protocols=>=TLSv1.2'
expect QUERY DANE-EE.test:25 'dane-only protocols=>=TLSv1.2'
expect QUERY sts-enforce.test 'secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2'
expect QUERYwithTLSRPT sts-enforce.test 'secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2 policy_type=sts policy_domain=sts-enforce.test { policy_string = version: STSv1 }*mx_host_pattern=mx.sts-enforce.test'
expect sts sts-enforce.test 'secure match=mx.sts-enforce.test servername=hostname'
expect QUERY sts-testing.test ''
expect QUERY stripped-nothing.test ''
expect QUERY bücher.test 'dane-only protocols=>=TLSv1.2'
expect QUERY tlsa-servfail.test '*temporary*'
expect QUERY .test ''

echo
"$dir/mxauth" status --control "$control"
echo
"$dir/mxauth" ask --control "$control" tlsa-mismatch.test

kill "$daemon"
wait "$daemon" || { echo "the daemon ended with status $?"; cat "$dir/log"; failed=1; }
daemon=
exit $failed
