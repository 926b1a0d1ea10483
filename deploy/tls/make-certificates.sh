#!/bin/sh
# Makes an authority, and the certificates by which the services know each other: see README.md.
# Usage: sh deploy/tls/make-certificates.sh FOLDER [renew [SERVICE...] | new-authority | drop-authority]
set -eu
# What is made is for its owner alone.
umask 077

services='user_service message_service notification_service frontend_service operator'
days=${DAYS:-90}

fail() {
  echo "make-certificates: $*" >&2
  exit 1
}

usage='usage: make-certificates.sh FOLDER [renew [SERVICE...] | new-authority | drop-authority]'
[ $# -ge 1 ] || fail "$usage"
folder=$1
command=${2:-}
command -v openssl >/dev/null || fail 'openssl is not installed'

# Whoever reads the folder meanwhile finds a file as it was or as it is to be, never a part of one.
replace() {
  # What root replaces goes to whom the folder is: in a container, that is who reads it.
  [ "$(id -u)" -ne 0 ] || chown "$(ls -nd "$(dirname "$1")" | awk '{ print $3 ":" $4 }')" "$1.new"
  mv "$1.new" "$1"
}

make_authority() {
  mkdir -p "$folder/authority"
  # Two that follow each other must not have the same name: it is by its name that the signer of a certificate is looked up.
  cat >"$folder/authority/request.cnf" <<CONFIG
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = messaging suite $(openssl rand -hex 4)
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONFIG
  openssl req -x509 -config "$folder/authority/request.cnf" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -days 3650 -keyout "$folder/authority/key.pem.new" -out "$folder/authority/cert.pem.new" 2>/dev/null
  rm "$folder/authority/request.cnf"
  replace "$folder/authority/key.pem"
  replace "$folder/authority/cert.pem"
}

# Has every service trust those authorities whose certificates the arguments are.
trust() {
  cat "$@" >"$folder/authority/trusted.pem.new"
  replace "$folder/authority/trusted.pem"
  for service in $services; do
    mkdir -p "$folder/$service"
    cp "$folder/authority/trusted.pem" "$folder/$service/ca.pem.new"
    replace "$folder/$service/ca.pem"
  done
}

certify() {
  service=$1
  own=$folder/$service
  case $service in
    operator)
      names=DNS:operator
      usages=clientAuth
      ;;
    *)
      names="DNS:$service, DNS:${service}_api, DNS:${service}_grpc, DNS:localhost, IP:127.0.0.1, IP:::1"
      for name in ${NAMES:-}; do names="$names, DNS:$name"; done
      usages='serverAuth, clientAuth'
      ;;
  esac
  cat >"$own/request.cnf" <<CONFIG
[req]
prompt = no
distinguished_name = subject
[subject]
CN = $service
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $usages
subjectAltName = $names
authorityKeyIdentifier = keyid
CONFIG
  openssl req -config "$own/request.cnf" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$own/key.pem.new" -out "$own/request.pem" 2>/dev/null
  openssl x509 -req -in "$own/request.pem" -CA "$folder/authority/cert.pem" -CAkey "$folder/authority/key.pem" \
    -set_serial "0x$(openssl rand -hex 16)" -days "$days" -extfile "$own/request.cnf" -extensions extensions \
    -out "$own/cert.pem.new" 2>/dev/null || fail "$service could not be given a certificate"
  rm "$own/request.cnf" "$own/request.pem"
  replace "$own/key.pem"
  replace "$own/cert.pem"
}

if [ -z "$command" ]; then
  [ ! -e "$folder/authority" ] || fail "there is an authority in $folder already: name another folder, or say renew"
  make_authority
  trust "$folder/authority/cert.pem"
  for service in $services; do certify "$service"; done
  echo "made an authority and certificates of $services in $folder"
  exit
fi

[ -e "$folder/authority/key.pem" ] || fail "there is no authority in $folder"
case $command in
  renew)
    shift 2
    for service in ${*:-$services}; do
      case " $services " in
        *" $service "*) certify "$service" ;;
        *) fail "there is no service $service: $services" ;;
      esac
    done
    ;;
  new-authority)
    cp "$folder/authority/cert.pem" "$folder/authority/previous.pem"
    make_authority
    trust "$folder/authority/cert.pem" "$folder/authority/previous.pem"
    rm "$folder/authority/previous.pem"
    ;;
  drop-authority) trust "$folder/authority/cert.pem" ;;
  *) fail "$usage" ;;
esac
