import type { RedisConnection } from '@messaging/service_kit/redis/connection';
import { enqueueLua } from '@messaging/service_kit/redis/outbox';
import { defineScript } from '@messaging/service_kit/redis/script';
import { z } from 'zod';
import type { Departure, Move } from '../domain/departure.js';
import { MAX_CHANGED_AT_ONCE } from '../domain/notification.js';
import type { SubscriptionRecord } from '../domain/subscription.js';
import { key } from './keys.js';
import { PUSH_STREAM } from './notification-store.js';
import { tenureLua } from './tenure.js';

/** What users leave in Redis. */
export class DepartureStore {
  constructor(private readonly connection: RedisConnection) {}

  /**
   * Takes what a tenure of an address has left out of the way of whoever has the address next, and moves the subscription, unless the
   * new address has one by now. From now on, what is meant for the old one is stored under the new one, or, where there is none,
   * not at all.
   *
   * @returns the tenures, up to this one, that have left something; and the outbox entry that ends the watches, unless it
   *   was enqueued before
   */
  async leave(left: Departure | Move): Promise<{ tenures: string[]; entryId: string }> {
    const { email, tenure, departure_id } = left;
    const to = 'to_email' in left ? left.to_email : '';
    const subscription = (subscribed: boolean): SubscriptionRecord => ({ user_email: to, subscribed });
    const [tenures, entryId] = await this.connection.run(
      leaveScript,
      [PUSH_STREAM],
      [
        email,
        tenure,
        departure_id,
        to,
        JSON.stringify(subscription(true)),
        JSON.stringify(subscription(false)),
      ],
    );
    return { tenures, entryId };
  }

  /**
   * Moves some of the notifications that a user has left, the oldest first, to the user's new address, after those that it has
   * there.
   *
   * @returns how many there were
   */
  async moveNotifications({ email, tenure, departure_id, to_email }: Move): Promise<number> {
    return this.connection.run(
      moveNotificationsScript,
      [PUSH_STREAM],
      [email, to_email, tenure, departure_id, MAX_CHANGED_AT_ONCE],
    );
  }

  /** Deletes whatever is still kept of a tenure. */
  async forget(email: string, tenure: string): Promise<void> {
    await this.connection.run(forgetScript, [], [email, tenure]);
  }
}

const leaveScript = defineScript(
  'leave',
  z.tuple([z.array(z.string()), z.string()]),
  `
  ${enqueueLua}
  ${tenureLua}
  local email, tenure, departure, to, subscribed, unsubscribed = unpack(ARGV)
  redis.call('XLEN', KEYS[1])
  for _, hash in ipairs({ '${key.subscriptions}', departed_key(email), moved_key(email) }) do redis.call('HLEN', hash) end
  local entry_id = leave(email, tenure, departure, KEYS[1])
  note_move(email, tenure, departure, to, KEYS[1], subscribed, unsubscribed)
  local ended = {}
  for _, left in ipairs(redis.call('HKEYS', departed_key(email))) do
    if tonumber(left) <= tonumber(tenure) then ended[#ended + 1] = left end
  end
  return { ended, entry_id }
  `,
);

/** The ids go on without a gap: as they were, unless there are others under the new address already. */
const moveNotificationsScript = defineScript(
  'moveNotifications',
  z.number(),
  `
  ${enqueueLua}
  ${tenureLua}
  local email, to, tenure, departure, wanted = unpack(ARGV)
  if redis.call('HEXISTS', departed_key(email), tenure) == 0 then return 0 end
  local source, target = left_keys(email, tenure), destination(to, departure, KEYS[1])
  local last, length = tonumber(redis.call('GET', source.counter) or 0), redis.call('LLEN', source.notifications)
  local function plain(number) return string.format('%.0f', number) end

  if redis.call('EXISTS', target.counter) == 0 then redis.call('SET', target.counter, plain(math.max(last - length, 0))) end

  local count = math.min(length, wanted)
  for index = 1, count do
    local record, old_id = redis.call('RPOP', source.notifications), plain(last - length + index)
    local is_json, notification = pcall(cjson.decode, record)
    is_json = is_json and type(notification) == 'table'
    local message = is_json and notification.message_id
    -- What was meant for the old address may have come here meanwhile, and is not to come twice.
    if not message or redis.call('HEXISTS', target.notified, message) == 0 then
      local id = plain(redis.call('INCR', target.counter))
      if is_json then
        notification.receiver_email, notification.id = to, id
        record = cjson.encode(notification)
      end
      redis.call('LPUSH', target.notifications, record)
      if message then redis.call('HSET', target.notified, message, id) end
      if redis.call('ZSCORE', source.unread, old_id) then redis.call('ZADD', target.unread, id, id) end
    end
    redis.call('ZREM', source.unread, old_id)
    if message then redis.call('HDEL', source.notified, message) end
  end
  return count
  `,
);

const forgetScript = defineScript(
  'forget',
  z.number(),
  `
  ${enqueueLua}
  ${tenureLua}
  local email, tenure = unpack(ARGV)
  for _, key in pairs(left_keys(email, tenure)) do redis.call('UNLINK', key) end
  return redis.call('HDEL', departed_key(email), tenure)
  `,
);
