# What the checks of this folder share: to be sourced, from the root, once `files` has the Compose files and PROJECT the name of a
# project of its own, which is always taken down again with images and volumes.

readonly UP_WITHIN_SECONDS=90
readonly BUF=node_modules/.bin/buf
[[ -x $BUF ]] || { echo "$BUF is missing: run 'npm ci' first" >&2; exit 2; }

compose() { docker compose "${files[@]/#/--file=}" --project-directory . --project-name "$PROJECT" "$@"; }

step() { echo "==> [$((SECONDS))s] $*"; }
# fail REASON [SERVICE...]: the reason, and the end of those services' logs (of all where none is named).
fail() {
  echo "FAILED: $1" >&2
  compose ps --all >&2 || true
  compose logs --no-color --tail 40 "${@:2}" 2>&1 | sed 's/^\x1b\[[0-9;]*K//' >&2 || true
  exit 1
}
take_down() {
  local status=$?
  trap - EXIT
  compose down --volumes --remove-orphans --rmi local --timeout 5 >/dev/null 2>&1 ||
    echo "could not take down project $PROJECT" >&2
  exit "$status"
}
trap take_down EXIT
trap 'exit 130' INT TERM

get() { curl --silent --show-error --fail-with-body --max-time 10 "$@"; }
# call PORT/SERVICE/METHOD JSON: a unary gRPC call, described by the server's reflection.
call() { timeout 10 "$BUF" curl --protocol grpc --http2-prior-knowledge --data "$2" "http://127.0.0.1:$1"; }
# eventually SECONDS COMMAND...: polls until the command succeeds; what it printed last is in $last.
eventually() {
  local until=$((SECONDS + $1))
  until last=$("${@:2}" 2>&1); do
    if ((SECONDS >= until)); then return 1; fi
    sleep 0.3
  done
}
# Fetches the balancer's image, or makes one of Debian's packages where it can't be had.
have_balancer() {
  local image=haproxy:3.2-alpine
  docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 ||
    docker build --quiet --tag "$image" - <tests/compose/haproxy.Dockerfile >/dev/null
}
is_serving() { call "$1/grpc.health.v1.Health/Check" '{}' | grep '"SERVING"'; }
# Waits until every door of rest_doors and grpc_doors, NAME:PORT each, serves.
wait_until_served() {
  local door
  for door in "${rest_doors[@]}"; do
    eventually "$UP_WITHIN_SECONDS" get "http://127.0.0.1:${door#*:}/readyz" || fail "$door is not ready: $last" "${door%:*}"
  done
  for door in "${grpc_doors[@]}"; do
    eventually "$UP_WITHIN_SECONDS" is_serving "${door#*:}" || fail "$door does not serve: $last" "${door%:*}"
  done
}
