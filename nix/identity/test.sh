#!/bin/sh
# Tests of the identity scripts: the parsers by themselves, then whole runs over a temporary directory with a
# platform file that records its hooks. Needs no root and changes nothing outside that directory.
#
#   test.sh            under dash, busybox sh and bash, if installed (at least two)
#   test.sh --here     under the shell that runs it
#
# The last line is `N passed, N failed`; the exit status is 1 when something failed.
# shellcheck disable=SC1090,SC1091,SC2012,SC2016,SC2059 # sourced by name; modes by ls; `$` and `%` meant as they stand
set -u

here=$(dirname "$(readlink -f "$0")")

run_everywhere() {
    passed=0 failed=0 shells=0
    for shell in dash 'busybox sh' bash; do
        command -v "${shell%% *}" >/dev/null || continue
        shells=$((shells + 1))
        # shellcheck disable=SC2086 # `busybox sh` is two words
        report=$($shell "$here/test.sh" --here "$shell")
        printf '%s\n' "$report" | sed "s/^/$shell: /"
        counts=${report##*
}
        passed=$((passed + ${counts%% *}))
        counts=${counts#*, }
        failed=$((failed + ${counts%% *}))
    done
    if [ "$shells" -lt 2 ]; then
        echo 'test.sh: fewer than two of dash, busybox and bash are installed' >&2
        failed=$((failed + 1))
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
[ "${1-}" = --here ] || run_everywhere
shell=${2-sh}

set -f
export LC_ALL=C
passed=0 failed=0
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# same NAME EXPECTED ACTUAL
same() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    fi
}

# agrees yes|no COMMAND…: does the command succeed?
agrees() {
    wanted=$1
    shift
    answer=no
    if "$@" >/dev/null 2>&1; then answer=yes; fi
    same "$*" "$wanted" "$answer"
}

# words: standard input on one line.
words() {
    tr '\n' ' ' | sed 's/ $//'
}

# ---- parsers ---------------------------------------------------------------------------------------

IDENTITY=$room/identity RUN_DIR=$room/run
mkdir -p "$IDENTITY" "$RUN_DIR"
. "$here/common.sh"

parses() { # CONCERN FUNCTION INPUT EXPECTED [ARGUMENT]
    # shellcheck disable=SC2086 # an argument, or none
    actual=$(
        . "$here/concerns/$1.sh"
        printf "$3" | "$2" ${5-} 2>/dev/null | words
    )
    same "$2 of '$3'" "$4" "$actual"
}

refuses() { # CONCERN FUNCTION INPUT
    actual=$(
        . "$here/concerns/$1.sh"
        printf "$3" | "$2" 2>/dev/null && echo accepted
    )
    same "$2 refuses '$3'" '' "$actual"
}

parses ports parse_ports '22\n80\n443\n' '22 80 443' tcp_ports
parses ports parse_ports '# web\n80 # note\n\n  443\t\n' '80 443' tcp_ports
parses ports parse_ports '22\r\n80\r\n' '22 80' tcp_ports
parses ports parse_ports '22\n8080' '22 8080' tcp_ports
parses ports parse_ports '8000:8010\n9000-9001\n7-7\n' '8000-8010 9000-9001 7' tcp_ports
parses ports parse_ports '0\n65536\n-1\n1-\n:5\n9-8\n1-2-3\n22/tcp\n80 443\nssh\n99999999999999999999\n1-65535\n' '1-65535' tcp_ports
parses ports parse_ports '0022\n00008-0010\n' '22 8-10' tcp_ports
parses ports parse_ports '22; reboot\n$(id)\n`id`\n*\n22}\n' '' tcp_ports
parses ports parse_ports '' '' tcp_ports

covers_with() { printf '%b' "$2" | (. "$here/concerns/ports.sh" && covers "$1"); }
agrees yes covers_with 22 '80\n22\n'
agrees yes covers_with 22 '20-30\n'
agrees no covers_with 22 '80\n23-30\n1-21\n'
agrees no covers_with 22 '\n'

parses address parse_address 'address=192.0.2.7/24\ngateway=192.0.2.1\n' 'address=192.0.2.7/24 gateway=192.0.2.1'
parses address parse_address '# fixed\n gateway=192.0.2.1 # router\r\naddress=192.0.2.7/32' 'address=192.0.2.7/32 gateway=192.0.2.1'
parses address parse_address 'address=10.0.0.1/8' 'address=10.0.0.1/8'
parses address parse_address '' ''
for bad in 'address=192.0.2.7' 'address=192.0.2.7/33' 'address=192.0.2.7/0' 'address=192.0.2/24' 'address=1.2.3.256/24' \
    'gateway=192.0.2.1' 'address=192.0.2.7/24\ngateway=here' 'address=192.0.2.7/24\naddress=192.0.2.8/24' \
    'address=192.0.2.7/24\nreboot' 'address=192.0.2.7/24;id' 'address=\n' 'address=01.2.3.4/8'; do
    refuses address parse_address "$bad"
done

parses hosts parse_hosts '192.0.2.1 db db.example.org\n# no\n2001:db8::5\tsix # note' '192.0.2.1 db db.example.org 2001:db8::5 six'
parses hosts parse_hosts 'db 192.0.2.1\n192.0.2.1\n192.0.2.1 a;b\n192.0.2.1 -x\n192.0.2.300 a\n* *\n1.2.3.4 $(id)\n' ''

parses dns parse_nameservers 'nameserver 192.0.2.53\nsearch example.org\nnameserver 2001:db8::53 # six\noptions rotate' '192.0.2.53 2001:db8::53'
parses dns parse_nameservers 'nameserver\nnameserver one.example\nnameserver 1.1.1.1 1.0.0.1\nnameservers 1.1.1.1\n; nameserver 9.9.9.9\n' ''

parses keys parse_keys '# me\n\nssh-ed25519 AAAA me@here\r\n  ssh-rsa BBBB' 'ssh-ed25519 AAAA me@here ssh-rsa BBBB'

certificate='-----BEGIN CERTIFICATE-----\nMIIB+/==\n-----END CERTIFICATE-----\n'
shown='-----BEGIN CERTIFICATE----- MIIB+/== -----END CERTIFICATE-----'
# An argument of printf, where a leading hyphen would be an option.
parses ca parse_certificates "\\n$certificate" "$shown"
parses ca parse_certificates "subject=x\\n${certificate}note\\n$certificate" "$shown $shown"
for bad in '\n-----BEGIN CERTIFICATE-----\nMIIB\n' '\n-----BEGIN CERTIFICATE-----\nMI IB\n-----END CERTIFICATE-----\n'; do
    refuses ca parse_certificates "$bad"
done

hash_is_valid() { (. "$here/concerns/password.sh" && valid_hash "$1"); }
agrees yes hash_is_valid '$6$salt$abcDEF./019'
agrees yes hash_is_valid '$y$j9T$salt$hash'
agrees no hash_is_valid 'secret'
agrees no hash_is_valid '$6$salt$ab:0:0'
agrees no hash_is_valid '$6$'
agrees no hash_is_valid ''

for good in a alpha a-1 A9 db.example.org; do agrees yes valid_hostname "$good"; done
for bad in '' -a a- a..b .a a_b 'a b' 'a;b' "$(printf '%064d' 0)"; do agrees no valid_hostname "$bad"; done
for good in 0.0.0.0 255.255.255.255 10.20.30.40; do agrees yes valid_ip "$good"; done
for good in :: ::1 1:: fe80::1 2001:db8:0:0:0:0:0:1 1:2:3:4:5:6:7:: ABCD::ef; do agrees yes valid_ip "$good"; done
for bad in '' . 1.2.3 1.2.3.4.5 1.2.3.4. 01.2.3.4 256.1.1.1 1.2.3.-4 '1.2.3.*'; do agrees no valid_ip "$bad"; done
for bad in : ::: 1::2::3 12345::1 1:2:3 1:2:3:4:5:6:7:8:9 :1:2:3:4:5:6:7 1:2:3:4:5:6:7: g::1 1:2:3:4:5:6:7:8::; do
    agrees no valid_ip "$bad"
done

# ---- whole runs ------------------------------------------------------------------------------------

cat >"$room/platform" <<PLATFORM
RUN_DIR=$room/run HOSTNAME_FILE=$room/run/hostname MACHINE_ID_FILE=$room/run/machine-id HOSTS_FILE=$room/run/hosts
RESOLV_FILE=$room/run/resolv.conf KEYS_DIR=$room/run/keys SHADOW_FILE=$room/run/shadow PASSWD_FILE=$room/passwd
FIREWALL_FILE=$room/run/firewall.nft FIREWALL_EXTRA=$room/extra ADDRESS_FILE=$room/run/address CA_BASE=$room/base
CA_BUNDLE=$room/run/ca HOST_KEY=$room/identity/ssh_host_ed25519_key FAULT_MARK=$room/run/fault
heard() { echo "\$*" >>$room/heard; }
hostname_changed() { heard hostname "\$@"; [ ! -e $room/break ]; }
machine_id_changed() { heard machine-id "\$@"; }
hosts_changed() { heard hosts; }
dns_changed() { heard dns "\$@"; }
keys_changed() { heard keys "\$@"; }
password_changed() { heard password "\$@"; }
address_changed() { heard address "\$@"; }
ca_changed() { heard ca; }
host_key_changed() { heard host-key; }
load_firewall() { heard firewall; [ ! -e $room/break ] || { echo refused; return 1; }; }
make_host_key() { heard make-key; printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n' \$\$ >"\$1"; }
PLATFORM
printf 'root:x:0:0::/root:/bin/sh\nadmin:x:1000:100::/home/admin:/bin/sh\n' >"$room/passwd"
printf 'BASE\n' >"$room/base"
rm -rf "$room/run"

# apply [CONCERN…]: one run; `code` is its exit status, `heard` what the hooks received, log in $room/log.
apply() {
    rm -f "$room/heard"
    # shellcheck disable=SC2086 # `busybox sh` is two words
    IDENTITY=$room/identity SNOWGLOBE_PLATFORM=$room/platform $shell "$here/snowglobe-identity" "$@" 2>"$room/log"
    code=$?
    heard=$(words 2>/dev/null <"$room/heard")
}
give() { printf '%b' "$2" >"$IDENTITY/$1"; }

apply
same 'nothing given: exit' 0 "$code"
same 'nothing given: hostname' nixos "$(cat "$room/run/hostname")"
same 'nothing given: machine id' 32 "$(tr -d '\n' <"$room/run/machine-id" | wc -c)"
same 'nothing given: root is locked' 'root:!:1:::::: admin:*:1::::::' "$(words <"$room/run/shadow")"
same 'nothing given: no port' '' "$(grep 'dport [0-9-]* accept' "$room/run/firewall.nft" | grep -v sport)"
same 'nothing given: certificates' BASE "$(words <"$room/run/ca")"
same 'nothing given: DHCP' '' "$(words <"$room/run/address")"
same 'nothing given: a key was made' '-----BEGIN OPENSSH PRIVATE KEY-----' "$(head -n 1 "$IDENTITY/ssh_host_ed25519_key")"
same 'nothing given: 22 is warned about' 1 "$(grep -c '22 is not open' "$room/log")"
same 'the host key is private' -rw------- "$(ls -l "$IDENTITY/ssh_host_ed25519_key" | cut -c1-10)"
same 'the shadow file is private' -rw------- "$(ls -l "$room/run/shadow" | cut -c1-10)"
apply
same 'nothing changed: only the firewall hears' firewall "$heard"

give hostname ' alpha\n'
give machine-id '0123456789abcdef0123456789abcdef'
give admin_authorized_keys '# me\nssh-ed25519 AAAA me'
give tcp_ports '22\n80 # web\n9000:9002\nnonsense\n443'
give udp_ports '53'
give resolv.conf 'nameserver 192.0.2.53\n'
give hosts '192.0.2.9 nine\n'
give root_password_hash '$6$salt$hash'
give static_address 'address=192.0.2.7/24\ngateway=192.0.2.1\n'
give ca-cert.pem "$certificate"
printf '        tcp dport 4444 accept\n' >"$room/extra"
apply
same 'all given: exit' 0 "$code"
same 'all given: hooks' "hostname alpha machine-id 0123456789abcdef0123456789abcdef hosts firewall keys admin ca address 192.0.2.7/24 192.0.2.1 dns 192.0.2.53 password \$6\$salt\$hash" \
    "$(grep -v password "$room/heard" | words) $(grep password "$room/heard")"
same 'all given: ports' 'tcp dport 22 accept tcp dport 80 accept tcp dport 9000-9002 accept tcp dport 443 accept udp dport 53 accept tcp dport 4444 accept' \
    "$(sed -n 's/^ *\([tu][cd]p dport .*\)/\1/p' "$room/run/firewall.nft" | words)"
same 'all given: the malformed port is in the log' 1 "$(grep -c "'nonsense' is skipped" "$room/log")"
same 'all given: hosts' '127.0.0.2 alpha 192.0.2.9 nine' "$(sed -n -e '/alpha/p' -e '/nine/p' "$room/run/hosts" | words)"
same 'all given: the hash is in no log' 0 "$(grep -c 'salt' "$room/log")"

printf 'daemon:!:1::::::\n' >>"$room/run/shadow"
rm -f "$IDENTITY"/admin_authorized_keys "$IDENTITY"/tcp_ports "$IDENTITY"/static_address "$IDENTITY"/resolv.conf \
    "$IDENTITY"/hosts "$IDENTITY"/ca-cert.pem "$IDENTITY"/root_password_hash "$IDENTITY"/hostname
apply
same 'removed: exit' 0 "$code"
same 'removed: keys' '' "$(words <"$room/run/keys/admin")"
same 'removed: ports' 'udp dport 53 accept tcp dport 4444 accept' \
    "$(sed -n 's/^ *\([tu][cd]p dport .*\)/\1/p' "$room/run/firewall.nft" | words)"
same 'removed: address' 'address' "$(grep address "$room/heard")"
same 'removed: servers' 'dns' "$(grep dns "$room/heard")"
same 'removed: password, others kept' 'root:!:1:::::: admin:*:1:::::: daemon:!:1::::::' "$(words <"$room/run/shadow")"
same 'removed: hostname' 'hostname nixos' "$(grep hostname "$room/heard")"
same 'removed: certificates' BASE "$(words <"$room/run/ca")"
same 'removed: the machine id stays' 0123456789abcdef0123456789abcdef "$(cat "$room/run/machine-id")"

give hostname 'two words\n'
give root_password_hash 'unhashed'
give static_address 'address=here'
give machine-id 'XYZ'
give ca-cert.pem 'not a certificate'
mkdir "$IDENTITY/tcp_ports"
apply
same 'malformed: exit' 1 "$code"
same 'malformed: which' 'snowglobe-identity: err: not in force: hostname machine-id ports password ca address' "$(tail -n 1 "$room/log")"
same 'malformed: the name stays' nixos "$(cat "$room/run/hostname")"
same 'malformed: root is locked' 'root:!:1::::::' "$(head -n 1 "$room/run/shadow")"
same 'malformed: the password is in no log' 0 "$(grep -c unhashed "$room/log")"
apply hosts dns
same 'a concern by name is not touched by others' 0 "$code"
rmdir "$IDENTITY/tcp_ports"
rm -f "$IDENTITY"/hostname "$IDENTITY"/root_password_hash "$IDENTITY"/static_address "$IDENTITY"/machine-id "$IDENTITY"/ca-cert.pem

give hostname beta
: >"$room/break"
apply hostname ports
same 'a failing hook: exit' 1 "$code"
same 'a failing hook: its words are in the log' 1 "$(grep -c 'stay: refused$' "$room/log")"
rm "$room/break"
apply hostname
same 'a failing hook is called again' 'hostname beta' "$heard"
apply hostname
same 'and not a third time' '' "$heard"

give ssh_host_ed25519_key ''
apply host-key
same 'an empty host key is replaced' 'make-key host-key' "$heard"
give ssh_host_ed25519_key 'rubbish'
apply host-key
same 'a broken host key is not overwritten' 'rubbish 1' "$(cat "$IDENTITY/ssh_host_ed25519_key") $code"
apply nonsense
same 'an unknown concern' 2 "$code"
IDENTITY=$room/identity SNOWGLOBE_PLATFORM=$room/none "$here/snowglobe-identity" 2>/dev/null
same 'no platform file' 2 "$?"
apply
(apply &
apply
wait) 2>/dev/null
apply hosts
same 'runs at the same moment do not disturb each other' 0 "$code"

# ---- what the portal sends -------------------------------------------------------------------------

rm -rf "$IDENTITY"
mkdir "$IDENTITY"
give ssh_host_ed25519_key "$(printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\nmine')"
give hostname old
give udp_ports 53
# file NAME MODE CONTENT: a line of the message.
file() { printf 'file %s %s %s\n' "$1" "$2" "$(printf '%b' "$3" | base64 | tr -d '\n')"; }
# message LINE…: the lines between its first and its last.
message() {
    echo 'snowglobe-identity 1'
    printf '%s\n' "$@"
    echo "end $#"
}
# From a file: the last command of a pipeline may run in a subshell, and what `apply` sets would be lost.
send() {
    printf '%s\n' "$1" >"$room/message"
    apply receive <"$room/message"
}
present() { (cd "$IDENTITY" && ls -A | words); }

send "$(message "$(file hostname 644 'new\n')" "$(file root_password_hash 600 '$6$salt$secret')" "$(file tcp_ports 644 '22\n')" \
    'none udp_ports' 'none hosts')"
same 'received: exit' 0 "$code"
same 'received: files' 'hostname root_password_hash ssh_host_ed25519_key tcp_ports' "$(present)"
same 'received: content' new "$(cat "$IDENTITY/hostname")"
same 'received: in force' 'hostname new' "$(sed -n '/hostname/p' "$room/heard")"
same 'received: modes' '-rw-r--r-- -rw-------' \
    "$(cd "$IDENTITY" && ls -l hostname root_password_hash | cut -c1-10 | words)"
same 'received: the host key stays' mine "$(tail -n 1 "$IDENTITY/ssh_host_ed25519_key")"
same 'received: no secret is in the log' 0 "$(grep -c 'salt' "$room/log")"
inode=$(ls -i "$IDENTITY/hostname")
send "$(message "$(file hostname 644 'new\n')" "$(file root_password_hash 644 '$6$salt$secret')")"
same 'received again: the same file' "$inode" "$(ls -i "$IDENTITY/hostname")"
same 'received again: another mode' '-rw-r--r--' "$(ls -l "$IDENTITY/root_password_hash" | cut -c1-10)"
before=$(present)
big=$(head -c 200000 /dev/zero | tr '\0' 'x')
send "$(message "$(file hosts 644 "# $big")")"
same 'received: a large file' 200002 "$(wc -c <"$IDENTITY/hosts" | tr -d ' ')"
rm "$IDENTITY/hosts"
mkdir "$IDENTITY/static_address"
for bad in '' 'snowglobe-identity 2' 'snowglobe-identity 1' "$(printf 'snowglobe-identity 1\nnone hostname\n')" \
    "$(printf 'snowglobe-identity 1\nnone hostname\nend 2\n')" "$(printf 'snowglobe-identity 1\nnone hostname\nend\n')" \
    "$(message 'none ssh_host_ed25519_key')" "$(message 'none ../passwd')" "$(message 'none .')" "$(message 'none')" \
    "$(message 'none -rf')" "$(message "$(file a/b 644 x)")" "$(message "$(file hostname 4755 x)")" \
    "$(message 'file hostname 644 ***')" "$(message 'run reboot')" "$(message "$(file static_address 644 x)")"; do
    send "$bad"
    same "refused: $(printf '%s' "$bad" | words)" "3 new" "$code $(cat "$IDENTITY/hostname")"
done
rmdir "$IDENTITY/static_address"
same 'refused: nothing is left behind' "$before" "$(present)"
send "$(message "$(file hostname 644 'two words')")"
same 'received and not in force' 1 "$code"
rm -rf "$IDENTITY"
mkdir "$IDENTITY"

# Any bytes at all: never more than a fault, root stays locked, and nothing of it reaches the log's terminal.
rm -f "$room/extra"
for round in 1 2 3 4 5; do
    for file in hostname machine-id admin_authorized_keys tcp_ports udp_ports resolv.conf hosts root_password_hash \
        static_address ca-cert.pem ssh_host_ed25519_key; do
        head -c "$((round * round * 200))" /dev/urandom >"$IDENTITY/$file"
    done
    apply
    same "random bytes: exit, round $round" 1 "$code"
    same "random bytes: root, round $round" 'root:!:1::::::' "$(head -n 1 "$room/run/shadow")"
    same "random bytes: log, round $round" '' "$(tr -d '[:print:]\n' <"$room/log")"
    same "random bytes: rules, round $round" '' "$(sed -n '/[tu][cd]p dport/!d; / dport [0-9-]* accept$/!p' "$room/run/firewall.nft")"
done
head -c 200000 /dev/zero | tr '\0' ' ' >"$IDENTITY/tcp_ports"
apply ports
same 'a very long line' 'in force: ports' "$(sed -n 's/.*\(in force.*\)/\1/p' "$room/log")"
head -c 300000 /dev/zero | tr '\0' '\n' >"$IDENTITY/tcp_ports"
apply ports
same 'a very large file' 1 "$code"

# Only where nft may be asked (root, or a user namespace); it checks the rules and loads nothing.
if command -v nft >/dev/null && unshare -rn nft list ruleset >/dev/null 2>&1; then
    rm -f "$room/extra"
    give tcp_ports '22\n20-30\n25:40\n1-65535\n'
    apply ports
    agrees yes unshare -rn nft -c -f "$room/run/firewall.nft"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
