/**
 * KEYS: the value's key, its guard's key. ARGV: origin, owner ('': none), version, time to live (ms, 0: none), type, then the string or the hash's fields.
 * The guard is a hash of its own beside the value, so that readers of the value see nothing of it. A lower version is refused; an equal one
 * overwrites, because a commit that is tried again may have other values. Origins other than the stored one have versions of
 * their own, which can't be compared: they win, unless the owner is the same.
 */
export const UPSERT = `
local stored = redis.call('HMGET', KEYS[2], 'origin', 'version', 'owner')
local comparable = stored[1] == ARGV[1] or (ARGV[2] ~= '' and stored[3] == ARGV[2])
if comparable and tonumber(stored[2]) > tonumber(ARGV[3]) then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[5] == 'hash' then
  if #ARGV > 5 then redis.call('HSET', KEYS[1], unpack(ARGV, 6)) end
else
  redis.call('SET', KEYS[1], ARGV[6])
end
redis.call('HSET', KEYS[2], 'origin', ARGV[1], 'owner', ARGV[2], 'version', ARGV[3])
local ttl = tonumber(ARGV[4])
if ttl > 0 then
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
else
  redis.call('PERSIST', KEYS[2])
end
return 1
`
