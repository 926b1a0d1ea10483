import { key } from './keys.js';

/** Lua for the name of a key of an email. */
function name(make: (email: string) => string): string {
  return `'${make('')}' .. email`;
}

/** How long it is known that an address was left: what was meant for whoever had it may come late. */
const LEFT_SECONDS = 7 * 24 * 60 * 60;

/**
 * Lua for scripts that work on what users have; it comes after `enqueueLua`. Addresses change hands: what is found under one
 * belongs to the tenure that its `occupant` key names, until that is told of a newer one. What the older one has is then renamed,
 * at once, so that whoever comes sees nothing of it, and it can follow or go bit by bit.
 *
 * - `settle(email, tenure, outbox)`: makes it the one that what is stored belongs to, and ends the watches of an older one; false
 *   where that tenure has ended itself
 */
export const tenureLua = `
  local function occupant_key(email) return ${name(key.occupant)} end
  local function departed_key(email) return ${name(key.departed)} end
  local function moved_key(email) return ${name(key.movedTo)} end
  local function live_keys(email)
    return {
      notifications = ${name(key.notifications)},
      counter = ${name(key.counter)},
      unread = ${name(key.unread)},
      notified = ${name(key.notified)},
    }
  end
  local function left_keys(email, tenure)
    local keys = {}
    for part in pairs(live_keys('')) do keys[part] = 'departed_' .. part .. ':' .. email .. ':' .. tenure end
    return keys
  end
  local function occupant_of(email) return tonumber(redis.call('GET', occupant_key(email)) or nil) end
  local function clear_out(email, tenure, outbox)
    local left = left_keys(email, tenure)
    local subscription = redis.call('HGET', '${key.subscriptions}', email)
    local has_any = redis.call('HDEL', '${key.subscriptions}', email) == 1
    for part, live in pairs(live_keys(email)) do
      if redis.call('EXISTS', live) == 1 then
        redis.call('RENAME', live, left[part])
        has_any = true
      end
    end
    if has_any then redis.call('HSET', departed_key(email), tenure, subscription or '-') end
    return enqueue(outbox, cjson.encode({ ends_watches_of = email }))
  end
  local function settle(email, tenure, outbox)
    if tenure == '' then return true end
    local occupant = occupant_of(email)
    if occupant and tonumber(tenure) <= occupant then return tonumber(tenure) == occupant end
    if occupant then clear_out(email, string.format('%.0f', occupant), outbox) end
    redis.call('SET', occupant_key(email), tenure)
    return true
  end
  local function leave(email, tenure, departure, outbox)
    local occupant = occupant_of(email)
    if occupant and occupant >= tonumber(departure) then return '' end
    redis.call('SET', occupant_key(email), departure, 'EX', ${LEFT_SECONDS})
    return clear_out(email, tenure, outbox)
  end
  local function is_unsubscribed(subscription)
    local is_json, known = pcall(cjson.decode, subscription)
    return is_json and type(known) == 'table' and not known.subscribed
  end
  local function destination(email, tenure, outbox)
    if settle(email, tenure, outbox) then return live_keys(email), false end
    redis.call('HSETNX', departed_key(email), tenure, '-')
    return left_keys(email, tenure), true
  end
  -- From now on, what is meant for whoever had the address is for the new one; with none, it is dropped.
  local function note_move(email, tenure, departure, to, outbox, subscribed, unsubscribed)
    if redis.call('HEXISTS', moved_key(email), tenure) == 1 then return end
    redis.call('HSET', moved_key(email), tenure, to == '' and '' or departure .. ':' .. to)
    redis.call('EXPIRE', moved_key(email), ${LEFT_SECONDS})
    if to == '' then return end
    local subscription = redis.call('HGET', departed_key(email), tenure)
    local moved = subscription and is_unsubscribed(subscription) and unsubscribed or subscribed
    local _, is_left = destination(to, departure, outbox)
    if not is_left then
      redis.call('HSETNX', '${key.subscriptions}', to, moved)
    elseif redis.call('HGET', departed_key(to), departure) == '-' then
      redis.call('HSET', departed_key(to), departure, moved)
    end
  end
`;
