/**
 * Scripts that redis runs in one step. They are sent in full: they run on a miss only, and a server that was restarted or
 * replaced knows none by its hash.
 *
 * A value that was filled is its birth in milliseconds of redis' clock, a line feed, and then the text. A lease is the
 * holder's token, or `!` while a failure stands.
 */
const now = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

export const failedMark = "!";

/** Redis' clock may be set back a little. A value from further in the future has an age that nobody can tell: it is none. */
export const backwardsMsMax = 1_000;

/** KEYS value, lease; ARGV token, lease ms, known birth or '', age at most. Replies with a word, the time and the value. */
export const claimScript = `${now}
local value = redis.call('GET', KEYS[1])
local born = value and tonumber(string.match(value, '^(%d+)\\n'))
local age = born and now - born
if age and age >= -${backwardsMsMax} and age <= tonumber(ARGV[4]) and born ~= tonumber(ARGV[3]) then
  return {'found', now, value}
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'granted', now} end
if redis.call('GET', KEYS[2]) == '${failedMark}' then return {'failed', now} end
return {'held', now}`;

/** KEYS lease; ARGV token, lease ms. Replies 1, or 0 when the lease is lost. */
export const renewScript = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/**
 * KEYS value, lease; ARGV token, birth, text, ms to keep it from its birth. Replies 1 when it is stored.
 * Stored before the lease is deleted: after a first write a full server would accept any other.
 */
export const fillScript = `if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
${now}
local left = math.floor(ARGV[2] + ARGV[4] - now)
if left > 0 then redis.call('SET', KEYS[1], ARGV[2] .. '\\n' .. ARGV[3], 'PX', left) end
redis.call('DEL', KEYS[2])
return left > 0 and 1 or 0`;

/** KEYS lease; ARGV token, pause ms. */
export const releaseScript = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], '${failedMark}', 'PX', ARGV[2]) else redis.call('DEL', KEYS[1]) end
return 1`;
