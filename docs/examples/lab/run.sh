#!/bin/sh
# run.sh DIR, as root: tests posttls-finger with the lab and writes DIR/results.jsonl. It has a
# loopback interface and a resolv.conf of its own, so that it disturbs nothing on the machine:
# unshare --mount --net sh run.sh DIR
set -e
dir=$1 here=$(dirname "$0")
ip link set lo up
mkdir -p "$dir/postfix"
echo 'inet_protocols = ipv4' > "$dir/postfix/main.cf"
printf 'nameserver 127.9.0.1\noptions edns0 trust-ad timeout:5 attempts:1\n' > "$dir/resolv.conf"
mount --bind "$dir/resolv.conf" /etc/resolv.conf
export MAIL_CONFIG="$dir/postfix"

# The lab runs until it is interrupted; its last line of output begins with "ready".
mxconform lab --dir "$dir" > "$dir/lab.out" &
lab=$!
trap 'kill $lab' EXIT
until grep -q '^ready' "$dir/lab.out"; do kill -0 $lab; sleep 0.2; done

# posttls-finger knows DANE, and neither MTA-STS nor options of a message.
jq -r 'select((.args | length) == 1 and .sts == null and .primed == null) | .args[0]' "$dir/worlds.jsonl" |
  xargs -n 1 -P 16 sh "$here/posttls-finger.sh" > "$dir/results.jsonl"
mxconform judge --partial "$dir/results.jsonl"
