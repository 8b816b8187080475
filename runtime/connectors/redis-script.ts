/**
 * KEYS: the value's key, its guard's key. ARGV: origin, version, time to live (ms, 0: none), type, then the string or the hash's fields.
 * The guard is a hash of its own beside the value, so that readers of the value see nothing of it. A lower version is refused; an equal one
 * overwrites, because a commit that is tried again may have other values. Origins other than the stored one have versions of
 * their own, which can't be compared: they win.
 */
export const UPSERT = `
local stored = redis.call('HMGET', KEYS[2], 'origin', 'version')
if stored[1] == ARGV[1] and tonumber(stored[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[4] == 'hash' then
  if #ARGV > 4 then redis.call('HSET', KEYS[1], unpack(ARGV, 5)) end
else
  redis.call('SET', KEYS[1], ARGV[5])
end
redis.call('HSET', KEYS[2], 'origin', ARGV[1], 'version', ARGV[2])
local ttl = tonumber(ARGV[3])
if ttl > 0 then
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
else
  redis.call('PERSIST', KEYS[2])
end
return 1
`
