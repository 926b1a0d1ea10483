#!/usr/bin/env bash
# Gives the swarm the passwords of Redis's users, from USER_SERVICE_REDIS_PASSWORD and so on: the hashes for Redis, and each
# service its own. Secrets can't be changed; those that there are have to be removed first, together with the stack.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

node deploy/redis/set-passwords.mjs | docker secret create messaging_redis_users -
for user in user_service message_service notification_service frontend_service; do
  password=${user^^}_REDIS_PASSWORD
  printf %s "${!password}" | docker secret create "messaging_${user}_redis_password" -
done
