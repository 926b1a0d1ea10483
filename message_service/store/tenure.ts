import { key } from './keys.js';

/** Lua for the name of a key of one email, or of two. */
function name(make: (one: string, other: string) => string, ...variables: string[]): string {
  const [one = '', other = ''] = variables.map((_, index) => `<${index}>`);
  return variables.reduce(
    (lua, variable, index) => lua.replace(`<${index}>`, `' .. ${variable} .. '`),
    `'${make(one, other)}'`,
  );
}

/** How long it is known that an address was left: no send that began before takes longer. */
const LEFT_SECONDS = 24 * 60 * 60;

/**
 * Lua for scripts that work on what users have. Addresses change hands: what is found under one belongs to the tenure that its
 * `occupant` key names, until that is told of a newer one. The keys of the older one are then renamed, in one piece and at
 * once, so that whoever comes sees nothing of it, and what it left can follow or go bit by bit.
 *
 * - `keys_of(email, id)`: the keys of whoever had the address when it got the message
 * - `is_over(email, tenure)`: whether that tenure has ended
 * - `settle(email, tenure, last_id)`: makes it the one that what is stored belongs to
 * - `count_from_now(email, keys, other, is_always)`: has what others left count as seen
 * - `discard(id, sender, receiver, is_unread)`: deletes what is kept of a message that neither party has
 *
 * @param maxLookedAt how many messages `discard` looks at that it passes over
 */
export function tenureLua(maxLookedAt: number): string {
  return `
  local function direction_of(sender, receiver)
    return ${name(key.direction, 'sender', 'receiver')}
  end
  -- By bytes: how Lua compares texts depends on where Redis runs.
  local function comes_before(one, other)
    for index = 1, math.min(#one, #other) do
      local difference = string.byte(one, index) - string.byte(other, index)
      if difference ~= 0 then return difference < 0 end
    end
    return #one < #other
  end
  local function thread_of(one, other)
    if comes_before(other, one) then one, other = other, one end
    return ${name(key.inThread, 'one', 'other')}
  end
  local function message_key(id) return ${name(key.message, 'id')} end
  local function request_key(email, request) return ${name(key.request, 'email', 'request')} end
  local function occupant_key(email) return ${name(key.occupant, 'email')} end
  local function departed_key(email) return ${name(key.departed, 'email')} end
  local function plain(number) return string.format('%.0f', number) end

  local function live_keys(email)
    return {
      mailbox = ${name(key.mailbox, 'email')},
      recency = ${name(key.recency, 'email')},
      partners = ${name(key.partners, 'email')},
      seen = ${name(key.seen, 'email')},
      last_seen = ${name(key.lastSeen, 'email')},
      requests = ${name(key.requests, 'email')},
    }
  end
  local function left_keys(email, tenure)
    local keys = { is_left = true }
    for part in pairs(live_keys('')) do
      keys[part] = ${name((part, rest) => key.left(part, rest, ''), 'part', 'email')} .. tenure
    end
    return keys
  end

  local function keys_of(email, id)
    local live = live_keys(email)
    local left = redis.call('HGETALL', departed_key(email))
    if #left == 0 or redis.call('ZSCORE', live.mailbox, id) then return live end
    local found, earliest = live
    for index = 1, #left, 2 do
      local keys = left_keys(email, left[index])
      if redis.call('ZSCORE', keys.mailbox, id) then return keys end
      local tenure = tonumber(left[index])
      if tonumber(id) <= tonumber(left[index + 1]) and (not earliest or tenure < earliest) then
        found, earliest = keys, tenure
      end
    end
    return found
  end

  local function occupant_of(email)
    local tenure, since = string.match(redis.call('GET', occupant_key(email)) or '', '^(%d+):(%d+)$')
    return tonumber(tenure), tonumber(since) or 0
  end
  local function is_over(email, tenure)
    local occupant = occupant_of(email)
    return tenure ~= '' and occupant and tonumber(tenure) < occupant
  end
  local function clear_out(email, tenure, last_id)
    local live, left = live_keys(email), left_keys(email, tenure)
    for part, key in pairs(live) do
      if redis.call('EXISTS', key) == 1 then
        redis.call('RENAME', key, left[part])
        redis.call('HSET', departed_key(email), tenure, last_id)
      end
    end
  end
  local function settle(email, tenure, last_id)
    local occupant = occupant_of(email)
    if tenure == '' or tonumber(tenure) <= (occupant or 0) then return end
    clear_out(email, plain(occupant or 0), last_id)
    redis.call('SET', occupant_key(email), tenure .. ':' .. last_id)
  end
  -- Whoever has nothing here is as one who never had.
  local function forget_if_empty(email)
    for _, key in pairs(live_keys(email)) do
      if redis.call('EXISTS', key) == 1 then return end
    end
    if redis.call('TTL', occupant_key(email)) == -1 then redis.call('DEL', occupant_key(email)) end
  end
  local function leave(email, tenure, departure, last_id)
    local occupant = occupant_of(email)
    if occupant and occupant >= tonumber(departure) then return end
    clear_out(email, tenure, last_id)
    redis.call('SET', occupant_key(email), departure .. ':' .. last_id, 'EX', ${LEFT_SECONDS})
  end
  local function destination(email, tenure, last_id)
    local occupant, since = occupant_of(email)
    if occupant and occupant > tonumber(tenure) then
      redis.call('HSETNX', departed_key(email), tenure, plain(since))
      return left_keys(email, tenure)
    end
    settle(email, tenure, last_id)
    return live_keys(email)
  end

  local function count_from_now(email, keys, other, is_always)
    if redis.call('HEXISTS', keys.seen, other) == 1 then return end
    local _, since = occupant_of(email)
    if keys.is_left then since = 0 end
    local received = redis.call('HMGET', direction_of(other, email), 'last_message_id', 'message_count')
    local last = tonumber(received[1] or 0) or 0
    local foreign = last > 0 and last <= since and tonumber(received[2] or 0) or 0
    if foreign > 0 or is_always then redis.call('HSET', keys.seen, other, plain(foreign)) end
  end
  -- What came of a request: a fingerprint, the id of the message, and the tenure of the sender.
  local function read_request(key)
    local fingerprint, id, tenure = string.match(redis.call('GET', key) or '', '^([^:]*):(%d+):?(%d*)$')
    return { fingerprint = fingerprint, id = id, tenure = tonumber(tenure) }
  end
  local function less(hash, field)
    local number = tonumber(redis.call('HGET', hash, field) or 0) or 0
    if number > 0 then redis.call('HSET', hash, field, plain(number - 1)) end
  end

  -- The newest message of a thread, older than the one with the id, that matches.
  local function find_older(thread, id, matches)
    local from = '(' .. id
    for _ = 1, ${maxLookedAt} / 100 do
      local ids = redis.call('ZRANGE', thread, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 100)
      for _, older in ipairs(ids) do
        if matches(older) then return older end
      end
      if #ids < 100 then return nil end
      from = '(' .. ids[#ids]
    end
  end
  local function discard(id, sender, receiver, is_unread)
    local direction, thread, keys = direction_of(sender, receiver), thread_of(sender, receiver), keys_of(receiver, id)
    local received = tonumber(redis.call('HGET', direction, 'message_count')) or 0
    redis.call('DEL', message_key(id))
    redis.call('ZREM', thread, id)
    if redis.call('EXISTS', thread) == 0 then redis.call('HDEL', keys_of(sender, id).seen, receiver) end
    if received <= 1 then
      redis.call('DEL', direction)
      redis.call('HDEL', keys.seen, sender)
      redis.call('HDEL', keys.last_seen, sender)
      return
    end
    redis.call('HSET', direction, 'message_count', plain(received - 1))
    if not is_unread then less(keys.seen, sender) end
    if redis.call('HGET', direction, 'last_message_id') ~= id then return end
    local timestamp
    local last = find_older(thread, id, function(older)
      local is_json, record = pcall(cjson.decode, redis.call('GET', message_key(older)) or '{}')
      timestamp = is_json and record.timestamp
      return is_json and record.sender_email == sender
    end)
    if last then
      redis.call('HSET', direction, 'last_message_id', last, 'last_timestamp', timestamp)
    else
      redis.call('HDEL', direction, 'last_message_id', 'last_timestamp')
    end
  end
`;
}
